/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/clock.h"
#include "daemon/caller/bus-error.h"
#include "daemon/caller/sub-uid.h"
#include "event-bus.h"

enum {
        SUBSCRIBERS_MAX = 64,  /* of root, who subscribes on his own socket by himself */
        USERS_MAX = 16,        /* of those who are not root */
        OF_USER_MAX = 4,
};

/* The destination of an event for root on his own socket, where nobody has a name. */
#define ROOTS_NAME "org.saferemove1.Root"

static void warn(int error) {
        if (error < 0)
                log_plain(LOG_WARNING, "The bus cannot be told what happens: %s", strerror(-error));
}

/* Of these types the message says what the hardware did, and is about nobody. */
static bool has_public_message(const char *type) {
        static const char *const types[] = { "button", "request", "request-unserved", "kmsg-lost", "given-back", "withdrawn", "locate", "memory-stays" };

        for (size_t i = 0; i < ELEMENTSOF(types); i++)
                if (streq_ptr(type, types[i]))
                        return true;
        return false;
}

static json_object *public_event(json_object *event) {
        static const char *const keys[] = {
                "schema", "type", "time_usec", "removal", "slot", "slots", "port", "card", "state", "n", "of", "name", "phase", "done", "usec",
                "outcome", "code", "certificate", "power", "attention", "deadline_usec", "digest", "verdict", "kind", "steps", "holders",
                "blockers", "warnings", "eta_usec", "codes", "incident",
        };
        json_object *o = json_object_new_object();

        for (size_t i = 0; i < ELEMENTSOF(keys); i++)
                if (json_has(event, keys[i]))
                        json_set(o, keys[i], json_ref(json_get(event, keys[i])));
        if (has_public_message(json_str(event, "type")) && json_has(event, "message"))
                json_set(o, "message", json_ref(json_get(event, "message")));
        return o;
}

static int send_to(sd_bus *bus, const char *destination, const char *text) {
        sd_bus_message *signal = NULL;

        int r = sd_bus_message_new_signal(bus, &signal, MANAGER_PATH, MANAGER_INTERFACE, "Event");
        if (r < 0)
                return r;
        _cleanup_(sd_bus_message_unrefp) _unused_ sd_bus_message *owned = signal;
        r = sd_bus_message_append(signal, "s", text);
        if (r >= 0 && destination)
                r = sd_bus_message_set_destination(signal, destination);
        return r < 0 ? r : sd_bus_send(bus, signal, NULL);
}

static int send_public(sd_bus *bus, void *userdata) {
        return send_to(bus, NULL, userdata);
}

/* Whoever is there is root, and has all events addressed to him. */
static int send_private(sd_bus *bus, void *userdata) {
        return send_to(bus, ROOTS_NAME, userdata);
}

static void send(Bus *b, json_object *event) {
        _cleanup_json_ json_object *public = public_event(event);
        sd_bus *system = buses_system(b->buses);

        if (system)
                warn(send_to(system, NULL, json_text(public)));
        buses_tell_public(b->buses, send_public, (void *) json_text(public));
        /* Thousands of lines are in the removal's report. */
        if (strlen(json_text(event) ?: "") > ANSWER_INLINE_MAX) {
                json_object_object_del(event, "lost");
                json_object_object_del(event, "disturbed");
                json_object_object_del(event, "remedy");
        }
        const char *text = json_text(event);
        if (strlen(text ?: "") > ANSWER_INLINE_MAX)
                text = json_text(public);
        for (const char *name = b->subscribers ? sd_bus_track_first(b->subscribers) : NULL; name; name = sd_bus_track_next(b->subscribers)) {
                warn(send_to(system, name, text));
                buses_said(b->buses, system, strlen(text));
        }
        warn(buses_tell_private(b->buses, send_private, (void *) text));
}

void event_bus_told(json_object *event, void *bus) {
        json_set_str(event, "schema", "safe-remove/event/1");
        json_set_u64(event, "time_usec", now_wall());
        send(bus, event);
}

void event_bus_removal_told(const Removal *r, json_object *event, void *bus) {
        json_set_str(event, "removal", r->id);
        if (!json_has(event, "slot")) /* an `led` of one slot of several has its own */
                json_set_str(event, "slot", r->slot);
        if (r->others)
                json_set(event, "slots", removal_slot_names(r));
        event_bus_told(event, bus);
}

/* Of whom polkit allows it; those of root, NULL for `by`. Who has been forgotten (who.h) is a user who has not called for long. */
static size_t count_users(const Bus *b, json_object *by) {
        uint32_t user = by ? sub_uid_user((uint32_t) json_u64(by, "uid")) : 0, uid;
        size_t users = 0, own = 0;

        for (const char *name = sd_bus_track_first(b->subscribers); name; name = sd_bus_track_next(b->subscribers)) {
                bool known = who_knows(b->who, name, &uid);
                if (known && who_is_privileged_uid(uid))
                        continue;
                users++;
                own += by && known && sub_uid_user(uid) == user;
        }
        return by ? own : users;
}

static int add(Bus *b, sd_bus_message *call, json_object *by, sd_bus_error *reterr) {
        int r = b->subscribers ? 0 : sd_bus_track_new(sd_bus_message_get_bus(call), &b->subscribers, NULL, NULL);
        if (r < 0)
                return r;
        size_t users = count_users(b, NULL);
        bool full = who_is_privileged(by) ? sd_bus_track_count(b->subscribers) - users >= SUBSCRIBERS_MAX :
                                            users >= USERS_MAX || count_users(b, by) >= OF_USER_MAX;
        if (full && sd_bus_track_count_sender(b->subscribers, call) == 0)
                return sd_bus_error_setf(reterr, BUS_ERROR_BUSY, "So many connections have subscribed already, of yours or of all, that there is no place for another one. "
                                         "Close one of them, then try again.");
        r = sd_bus_track_add_sender(b->subscribers, call);
        return r < 0 ? r : sd_bus_reply_method_return(call, "");
}

/* Asked about when he subscribes, and not with each event: what polkit says later counts for his next connection. */
static int subscribe(void *bus, sd_bus_message *call, json_object *by, json_object *kept, bool may, sd_bus_error *reterr) {
        if (!may)
                return sd_bus_error_setf(reterr, BUS_ERROR_NOT_AUTHORIZED, "You are not authorized for " RIGHTS_PREFIX "read-details on this connection, without "
                                         "which nobody hears about others' processes and files. Everybody hears the rest.");
        return add(bus, call, by, reterr);
}

int event_bus_subscribe(void *bus, sd_bus_message *call, json_object *by, sd_bus_error *reterr) {
        _cleanup_json_ json_object *actions = json_object_new_array();
        const RightsWish wish = { .actions = actions, .then = subscribe, .userdata = bus, .look = true };

        json_append_str(actions, "read-details");
        if (!who_is_privileged(by))
                return rights_ask(((const Bus *) bus)->rights, call, by, &wish, reterr);
        if (!sd_bus_message_get_sender(call))
                return sd_bus_reply_method_return(call, ""); /* on root's own socket everybody has */
        return add(bus, call, by, reterr);
}
