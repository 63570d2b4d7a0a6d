/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "answer.h"
#include "bus-error.h"
#include "event-bus.h"
#include "who.h"

enum {
        SUBSCRIBERS_MAX = 64,
};

static void warn(int error) {
        if (error < 0)
                log_plain(LOG_WARNING, "The bus cannot be told what happens: %s", strerror(-error));
}

/* Of these types the message says what the hardware did, and is about nobody. */
static bool has_public_message(const char *type) {
        static const char *const types[] = { "button", "request", "request-unserved", "kmsg-lost", "withdrawn" };

        for (size_t i = 0; i < ELEMENTSOF(types); i++)
                if (streq_ptr(type, types[i]))
                        return true;
        return false;
}

static json_object *public_event(json_object *event) {
        static const char *const keys[] = {
                "schema", "type", "time_usec", "removal", "slot", "slots", "port", "card", "state", "n", "of", "name", "phase", "done", "usec",
                "outcome", "code", "certificate", "power", "attention", "deadline_usec", "digest", "verdict", "kind", "steps", "holders",
                "blockers", "eta_usec",
        };
        json_object *o = json_object_new_object();

        for (size_t i = 0; i < ELEMENTSOF(keys); i++)
                if (json_has(event, keys[i]))
                        json_set(o, keys[i], json_ref(json_get(event, keys[i])));
        if (has_public_message(json_str(event, "type")) && json_has(event, "message"))
                json_set(o, "message", json_ref(json_get(event, "message")));
        return o;
}

static int send_to(Manager *m, const char *destination, json_object *event) {
        sd_bus_message *signal = NULL;

        int r = sd_bus_message_new_signal(m->bus, &signal, MANAGER_PATH, MANAGER_INTERFACE, "Event");
        if (r < 0)
                return r;
        _cleanup_(sd_bus_message_unrefp) _unused_ sd_bus_message *owned = signal;
        r = sd_bus_message_append(signal, "s", json_text(event));
        if (r >= 0 && destination)
                r = sd_bus_message_set_destination(signal, destination);
        return r < 0 ? r : sd_bus_send(m->bus, signal, NULL);
}

void event_bus_send(Manager *m, json_object *event) {
        _cleanup_json_ json_object *public = public_event(event);

        warn(send_to(m, NULL, public));
        if (!m->subscribers)
                return;
        /* Thousands of lines are in the removal's report. */
        if (strlen(json_text(event) ?: "") > ANSWER_INLINE_MAX) {
                json_object_object_del(event, "lost");
                json_object_object_del(event, "remedy");
        }
        bool fits = strlen(json_text(event) ?: "") <= ANSWER_INLINE_MAX;
        for (const char *name = sd_bus_track_first(m->subscribers); name; name = sd_bus_track_next(m->subscribers))
                warn(send_to(m, name, fits ? event : public));
}

int event_bus_subscribe(Manager *m, sd_bus_message *call, json_object *by, sd_bus_error *reterr) {
        if (!who_is_privileged(by))
                return sd_bus_error_setf(reterr, BUS_ERROR_NOT_AUTHORIZED, "Only root may hear about others' processes and files. Everybody hears the rest.");
        int r = m->subscribers ? 0 : sd_bus_track_new(m->bus, &m->subscribers, NULL, NULL);
        if (r >= 0 && sd_bus_track_count(m->subscribers) >= SUBSCRIBERS_MAX)
                return sd_bus_error_setf(reterr, BUS_ERROR_BUSY, "%d connections have subscribed already. Close one of them, then try again.",
                                SUBSCRIBERS_MAX);
        if (r >= 0)
                r = sd_bus_track_add_sender(m->subscribers, call);
        return r < 0 ? r : sd_bus_reply_method_return(call, "");
}
