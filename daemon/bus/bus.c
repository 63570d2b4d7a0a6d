/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The daemon on its connections. Of the library's own methods GetManagedObjects is made here, and what it answers by itself is paid for: each
 * caller is known, and has his quota. */
#include "daemon/caller/bus-error.h"
#include "daemon/caller/sub-uid.h"
#include "daemon/manager/light.h"
#include "bus.h"
#include "event-bus.h"
#include "inhibit-bus.h"
#include "locate-bus.h"
#include "logind.h"
#include "manager-bus.h"
#include "removal-bus.h"
#include "slot-bus.h"
#include "typed-bus.h"

enum {
        OBJECT_BYTES = 1024,   /* about that much of the reply */
        REPLY_BYTES = 512,     /* one with a value or none */
        ALL_BYTES = 2048,      /* with all properties */
        XML_BYTES = 8192,      /* with all interfaces of an object */
        PATH_BYTES_MAX = 256,  /* of an object: ours are shorter */
};

static int get_objects(void *userdata, sd_bus_message *call, json_object *by, sd_bus_error *reterr) {
        const Bus *b = userdata;
        const Manager *m = b->manager;
        sd_bus_message *reply = NULL;

        int r = who_charge(b->who, call, (uint32_t) json_u64(by, "uid"), (m->n_slots + m->n_removals) * OBJECT_BYTES, reterr);
        if (r < 0)
                return r;
        r = sd_bus_message_new_method_return(call, &reply);
        if (r < 0)
                return r;
        _cleanup_(sd_bus_message_unrefp) _unused_ sd_bus_message *owned = reply;
        r = sd_bus_message_open_container(reply, 'a', "{oa{sa{sv}}}");
        if (r >= 0)
                r = slot_bus_append_all(b, reply);
        if (r >= 0)
                r = removal_bus_append_all(b, reply);
        if (r >= 0)
                r = sd_bus_message_close_container(reply);
        return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}

/* What the library answers by itself, with an end for each user like all else. */
static size_t bytes_of_library(const char *interface, const char *member) {
        if (!interface || !startswith(interface, "org.freedesktop.DBus."))
                return 0;
        return streq(member, "Introspect") ? XML_BYTES : streq(member, "GetAll") ? ALL_BYTES : REPLY_BYTES;
}

/* The library looks for the object of each path above it, and has all of it in its answer: of 64 KB that is a second's work. */
static int refuse_path(const Bus *b, sd_bus_message *call, sd_bus_error *reterr) {
        int r = who_pays(b->who, call, REPLY_BYTES, reterr);

        return r < 0 ? r : sd_bus_error_setf(reterr, SD_BUS_ERROR_UNKNOWN_OBJECT, "No object has a path of more than %d bytes.", PATH_BYTES_MAX);
}

static int on_call(sd_bus_message *call, void *userdata, sd_bus_error *reterr) {
        const Bus *b = userdata;
        const char *interface = sd_bus_message_get_interface(call), *member = sd_bus_message_get_member(call), *path = sd_bus_message_get_path(call);

        if (sd_bus_message_is_method_call(call, interface, member) <= 0)
                return 0;
        if (strlen(path) > PATH_BYTES_MAX)
                return refuse_path(b, call, reterr);
        /* Calls without an interface are fine by the bus. */
        if (streq(member, "GetManagedObjects") && streq(path, MANAGER_PATH) &&
            (!interface || streq(interface, "org.freedesktop.DBus.ObjectManager")))
                return who_asks(b->who, call, get_objects, reterr);
        size_t bytes = startswith(path, MANAGER_PATH) ? bytes_of_library(interface, member) : REPLY_BYTES;
        if (bytes > 0 && streq(path, MANAGER_PATH))
                bytes += inhibit_bus_length(b); /* it may be among what is read */
        return bytes > 0 ? who_pays(b->who, call, bytes, reterr) : 0;
}

static int serve(sd_bus *bus, void *userdata) {
        Bus *b = userdata;

        int r = sd_bus_add_object_manager(bus, NULL, MANAGER_PATH); /* it tells who comes and goes */
        if (r >= 0)
                r = sd_bus_add_filter(bus, NULL, on_call, b);
        if (r >= 0)
                r = manager_bus_register(b, bus);
        if (r >= 0)
                r = slot_bus_register(b, bus);
        if (r >= 0)
                r = removal_bus_register(b, bus);
        if (r >= 0)
                r = typed_bus_register(b, bus);
        return r < 0 || sd_bus_is_bus_client(bus) <= 0 ? r : logind_serve(b->logind, bus);
}

static void forget_names(void *userdata) {
        Bus *b = userdata;

        who_forget(b->who);
        rights_forget(b->rights);
        logind_forget(b->logind);
        b->subscribers = sd_bus_track_unref(b->subscribers);
}

static const BusesHandler handler = {
        .serve = serve,
        .lost = forget_names,
};

static void on_held_changed(void *userdata) {
        const Bus *b = userdata;

        logind_update(b->logind);
}

static const ManagerListener listener = {
        .slot_added = slot_bus_added,
        .slot_removed = slot_bus_removed,
        .slot_changed = slot_bus_changed,
        .held_changed = on_held_changed,
        .told = event_bus_told,
        .inhibitors_changed = inhibit_bus_changed,
        .answered = manager_bus_answered,
        .located = locate_bus_answered,
};

void bus_free(Bus *b) {
        if (!b)
                return;
        sub_uid_end();
        logind_free(b->logind);
        asks_free(b->asks);
        rights_free(b->rights);
        who_free(b->who);
        sd_bus_track_unref(b->subscribers);
        /* Whoever waits for what comes of a removal is not answered any more. */
        for (size_t i = 0; i < b->manager->n_removals; i++)
                sd_bus_message_unref(TAKE_PTR(b->manager->removals[i]->asker));
        lights_call_off(b->manager);
        buses_free(b->buses);
        free(b);
}

int bus_new(Manager *manager, Bus **ret) {
        _cleanup_(bus_freep) Bus *b = calloc(1, sizeof(*b));
        if (!b)
                return -ENOMEM;
        b->manager = manager;

        int r = buses_new(manager->event, &handler, b, &b->buses);
        if (r >= 0)
                r = who_new(b->buses, b, &b->who);
        if (r >= 0)
                r = rights_new(manager->event, b->buses, &b->rights);
        if (r >= 0)
                r = asks_new(manager->event, b->who, b->rights, manager->scanner, &b->asks);
        if (r >= 0)
                r = logind_new(manager, &b->logind);
        if (r < 0)
                return r;
        manager_listen(manager, &listener, &removal_bus_listener, b);
        *ret = TAKE_PTR(b);
        return 0;
}

int bus_open(Bus *b) {
        int r = buses_open(b->buses);
        if (r < 0)
                return r;
        sub_uid_begin(b->manager->event);
        return 0;
}
