/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A slot's attention LED blinks, for whoever has to find the slot. */
#include <errno.h>

#include "base/clock.h"
#include "cli/agent.h"
#include "cli/client.h"
#include "cli/removal.h"
#include "cli/text/event-text.h"
#include "cli/text/output.h"
#include "verbs.h"

enum {
        LOCATE_SEC = 60,
};

#define CALL_USEC (120 * USEC_PER_SEC) /* it may have to wait for another write to that light */

static ExitCode ask(sd_bus *bus, const Args *a, uint32_t sec, char **ret_path) {
        _cleanup_error_ sd_bus_error e = SD_BUS_ERROR_NULL;
        _cleanup_message_ sd_bus_message *m = NULL, *reply = NULL;
        const char *path;

        int r = sd_bus_message_new_method_call(bus, &m, BUS_NAME, BUS_PATH, BUS_MANAGER, "Locate");
        if (r >= 0)
                r = sd_bus_message_append(m, "su", a->target, sec);
        if (r >= 0)
                r = agent_call(bus, m, a, CALL_USEC, &e, &reply);
        if (r < 0)
                return client_fail(r, &e);
        if (sd_bus_message_read(reply, "o", &path) < 0)
                return client_fail(-EBADMSG, NULL);
        *ret_path = strdup(path);
        return *ret_path ? CODE_DONE : fail_memory();
}

/* What the lights say together: who goes there by the blinking one has to know what the other one means. */
static const char *meaning(json_object *slot) {
        const char *state = json_str(slot, "state");

        return streq_ptr(state, "safe") ? "safe to pull" : streq_ptr(state, "empty") ? "the slot is empty" : "do not pull";
}

static void print(json_object *slot, uint32_t sec) {
        _cleanup_free_ char *leds = led_text(json_str(slot, "power_led"), json_str(slot, "attention_led"));

        if (sec > 0)
                printf("slot %s: the attention LED blinks for %u s; %s  (%s)\n", json_str(slot, "name") ?: "?", sec, meaning(slot), leds ?: "");
        else
                printf("slot %s: nobody has its attention LED blink any more  (%s)\n", json_str(slot, "name") ?: "?", leds ?: "");
}

static void print_document(json_object *slot) {
        static const char *const keys[][2] = {
                { "slot", "name" }, { "port", "port" }, { "serial", "serial" }, { "state", "state" }, { "power_led", "power_led" },
                { "attention_led", "attention_led" }, { "located_until", "located_until" },
        };
        _cleanup_json_ json_object *o = json_object_new_object();

        json_set_str(o, "schema", "safe-remove/locate/1");
        for (size_t i = 0; i < ELEMENTSOF(keys); i++)
                json_set(o, keys[i][0], json_ref(json_get(slot, keys[i][1])));
        print_json(o);
}

ExitCode verb_locate(const Args *a) {
        _cleanup_error_ sd_bus_error e = SD_BUS_ERROR_NULL;
        uint32_t sec = a->off ? 0 : a->has_for_sec ? a->for_sec : LOCATE_SEC;
        _cleanup_bus_ sd_bus *bus = NULL;
        _cleanup_free_ char *path = NULL;
        _cleanup_json_ json_object *slot = NULL;

        if (a->off && a->has_for_sec)
                return fail(CODE_USAGE, NULL, "--off and --for contradict each other; to end the blinking: %s locate %s --off", client_command(), a->target);
        ExitCode code = client_connect_to_change(&bus);
        if (code == CODE_DONE)
                code = ask(bus, a, sec, &path);
        if (code != CODE_DONE)
                return code;
        int r = client_properties(bus, path, BUS_SLOT, &slot, &e);
        if (r < 0)
                return client_fail(r, &e);
        if (output.json != JSON_OFF)
                print_document(slot);
        else
                print(slot, sec);
        return CODE_DONE;
}
