/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "daemon/caller/bus-error.h"
#include "daemon/manager/light.h"
#include "daemon/manager/removals.h"
#include "locate-bus.h"

enum {
        LOCATE_COST = 256 * 1024, /* bytes that one counts for: eight at once, then one in a second (caller/quota.h), as each is a worker and a line in the journal */
};

void locate_bus_answered(void *asker, const ManagedSlot *s, const char *code, const char *message, void *bus) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = asker;
        bool by_name = streq_ptr(sd_bus_message_get_path(call), MANAGER_PATH);

        int r = code ? sd_bus_reply_method_errorf(call, bus_error_of_code(code), "%s", message ?: "The slot is not there any more.") :
                by_name ? sd_bus_reply_method_return(call, "o", s->path) : sd_bus_reply_method_return(call, "");
        if (r < 0)
                log_plain(LOG_WARNING, "Whoever wanted to be shown a slot could not be answered: %s", strerror(-r));
}

/* For whoever may; what is against it is looked at again, since polkit may have taken its time. */
static int locate(void *bus, sd_bus_message *call, json_object *by, json_object *kept, bool may, sd_bus_error *error) {
        Manager *m = ((Bus *) bus)->manager;
        ManagedSlot *s = manager_slot_named(m, json_str(kept, "slot"), json_str(kept, "port"));
        uint32_t sec = (uint32_t) json_u64(kept, "sec");
        const char *code = "unknown";
        _cleanup_free_ char *why = !s ? strdup("The slot is not there any more.") : sec > 0 ? manager_locate_objection(m, s, &code) : NULL;

        (void) may;
        if (!s || why)
                return sd_bus_error_setf(error, bus_error_of_code(code), "%s", why ?: strerror(ENOMEM));
        int r = who_charge(((Bus *) bus)->who, call, (uint32_t) json_u64(by, "uid"), LOCATE_COST, error);
        if (r < 0)
                return r;
        manager_locate(m, s, sec, by, sd_bus_message_ref(call));
        return 1;
}

static int ask(Bus *b, sd_bus_message *call, json_object *by, const char *slot, const char *port, uint32_t sec, sd_bus_error *error) {
        _cleanup_json_ json_object *kept = json_object_new_object(), *actions = json_object_new_array(), *details = json_object_new_object();
        const RightsWish wish = { .actions = actions, .details = details, .kept = kept, .then = locate, .userdata = b };
        const ManagedSlot *s = manager_slot_named(b->manager, slot, port);

        json_set_str(kept, "slot", slot);
        json_set_str(kept, "port", port);
        json_set_u64(kept, "sec", sec);
        if (!s || who_is_privileged(by))
                return locate(b, call, by, kept, true, error);
        json_append_str(actions, "locate");
        json_set_str(details, "slot", slot_get(s, SLOT_TEXT_NAME));
        json_set_str(details, "serial", *slot_get(s, SLOT_TEXT_SERIAL) ? slot_get(s, SLOT_TEXT_SERIAL) : "unknown");
        return rights_ask(b->rights, call, by, &wish, error);
}

static int check_seconds(uint32_t sec, sd_bus_error *error) {
        return sec <= LOCATE_SEC_MAX ? 0 : sd_bus_error_setf(error, BUS_ERROR_BAD_OPTION, "A light blinks for %d seconds at most, not for %u; 0 ends it.",
                                                             LOCATE_SEC_MAX, sec);
}

static void on_found(void *bus, sd_bus_message *call, json_object *request, json_object *line) {
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;

        int r = ask(bus, call, json_get(request, "by"), json_str(line, "slot"), json_str(line, "port"), (uint32_t) json_u64(request, "sec"), &error);
        if (r < 0)
                (void) (sd_bus_error_is_set(&error) ? sd_bus_reply_method_error(call, &error) : sd_bus_reply_method_errno(call, r, NULL));
}

int locate_bus_target(void *bus, sd_bus_message *call, json_object *by, sd_bus_error *error) {
        _cleanup_json_ json_object *request = json_object_new_object();
        const AskWish wish = { .verb = "find", .what = "The search for the slot", .request = request, .look = true, .told = on_found, .userdata = bus };
        Bus *b = bus;
        const char *target;
        uint32_t sec;

        int r = sd_bus_message_read(call, "su", &target, &sec);
        if (r >= 0)
                r = check_seconds(sec, error);
        if (r < 0)
                return r;
        json_set_str(request, "id", "0");
        json_set_str(request, "target", target);
        json_set_str(request, "trigger", trigger_to_string(TRIGGER_COMMAND));
        json_set(request, "by", json_ref(by));
        json_set_u64(request, "sec", sec);
        return asks_add(b->asks, call, by, &wish, error);
}

int locate_bus_slot(void *bus, sd_bus_message *call, json_object *by, sd_bus_error *error) {
        Bus *b = bus;
        uint32_t sec;

        int r = sd_bus_message_read(call, "u", &sec);
        if (r >= 0)
                r = check_seconds(sec, error);
        for (size_t i = 0; r >= 0 && i < b->manager->n_slots; i++) {
                const ManagedSlot *s = b->manager->slots[i];
                if (streq(s->path, sd_bus_message_get_path(call)))
                        return ask(b, call, by, slot_get(s, SLOT_TEXT_NAME), slot_get(s, SLOT_TEXT_PORT), sec, error);
        }
        return r < 0 ? r : sd_bus_error_setf(error, BUS_ERROR_UNKNOWN_NAME, "The slot is not there any more.");
}
