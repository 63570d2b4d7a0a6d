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
                output_line(stdout, "slot %s: the attention LED blinks for %u s; %s  (%s)\n", json_str(slot, "name") ?: "?", sec, meaning(slot), leds ?: "");
        else
                output_line(stdout, "slot %s: the attention LED does not blink to show it any more  (%s)\n", json_str(slot, "name") ?: "?", leds ?: "");
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

/* As the daemon would refuse it. What is at work there or holds the slot ends by itself; the rest does not. */
static ExitCode check(json_object *slot) {
        static const char *const busy[] = { "removing", "restoring" }, *const speaks[] = { "lost", "withdrawn", "stuck", "unknown" };
        const char *name = json_str(slot, "name"), *state = json_str(slot, "state"), *light = json_str(slot, "attention_led");

        for (size_t i = 0; i < ELEMENTSOF(busy); i++)
                if (streq_ptr(state, busy[i]) || json_flag(slot, "held"))
                        return fail(CODE_BUSY, NULL, "slot %s: a removal or restoration is at work there; see: %s status", name, client_command());
        for (size_t i = 0; i < ELEMENTSOF(speaks); i++)
                if (streq_ptr(state, speaks[i]))
                        return fail(CODE_BLOCKED, NULL, "slot %s is %s, and its lights say so; see: %s list", name, state, client_command());
        if (streq_ptr(light, "off") || streq_ptr(light, "blink"))
                return CODE_DONE;
        return fail(CODE_BLOCKED, NULL, "slot %s: %s; see: %s list", name, streq_ptr(light, "on") ? "its attention LED is on, which says that something is wrong there" :
                    "it has no attention LED that is safe-remove's to set", client_command());
}

/* The plan says which slot a name means. */
static ExitCode locate_dry(const Args *a, uint32_t sec) {
        _cleanup_json_ json_object *plan = NULL, *slots = NULL, *removals = NULL;
        _cleanup_bus_ sd_bus *bus = NULL;

        ExitCode code = client_connect(&bus);
        if (code == CODE_DONE)
                code = client_plan(bus, a, &plan);
        if (code == CODE_DONE)
                code = client_objects(bus, &slots, &removals);
        if (code != CODE_DONE)
                return code;
        const char *name = json_str(json_get(plan, "slot"), "name");
        json_object *slot = json_find(slots, "name", name);
        if (!slot)
                return fail(CODE_NOT_FOUND, NULL, "slot %s is not there any more; see: %s list", name ?: "?", client_command());
        code = sec > 0 ? check(slot) : CODE_DONE;
        if (code != CODE_DONE)
                return code;
        if (output.json != JSON_OFF) {
                print_document(slot);
                return CODE_DONE;
        }
        _cleanup_free_ char *leds = led_text(json_str(slot, "power_led"), json_str(slot, "attention_led"));
        if (sec > 0)
                output_line(stdout, "slot %s: the attention LED would blink for %u s; %s  (now: %s)\n", name, sec, meaning(slot), leds ?: "");
        else
                output_line(stdout, "slot %s: the attention LED would not blink to show it any more  (now: %s)\n", name, leds ?: "");
        return CODE_DONE;
}

ExitCode verb_locate(const Args *a) {
        _cleanup_error_ sd_bus_error e = SD_BUS_ERROR_NULL;
        uint32_t sec = a->off ? 0 : a->has_for_sec ? a->for_sec : LOCATE_SEC;
        _cleanup_bus_ sd_bus *bus = NULL;
        _cleanup_free_ char *path = NULL;
        _cleanup_json_ json_object *slot = NULL;

        if (a->off && a->has_for_sec)
                return fail(CODE_USAGE, NULL, "--off and --for contradict each other; to end the blinking: %s locate %s --off", client_command(), a->target);
        if (a->dry_run)
                return locate_dry(a, sec);
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
