/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/caller/ask.h"
#include "daemon/caller/who.h"
#include "objects.h"
#include "removal-bus.h"
#include "slot-bus.h"

enum {
        OBJECT_BYTES = 1024,   /* about that much of the reply */
        REPLY_BYTES = 512,     /* one with a value or none */
        ALL_BYTES = 2048,      /* with all properties */
        XML_BYTES = 8192,      /* with all interfaces of an object */
        PATH_BYTES_MAX = 256,  /* of an object: ours are shorter */
};

static int append_property(sd_bus_message *reply, const char *path, const char *interface, const sd_bus_vtable *v, void *userdata) {
        const char *name = v->x.property.member, *type = v->x.property.signature;

        int r = sd_bus_message_open_container(reply, 'e', "sv");
        if (r >= 0)
                r = sd_bus_message_append_basic(reply, 's', name);
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'v', type);
        if (r >= 0 && v->x.property.get)
                r = v->x.property.get(sd_bus_message_get_bus(reply), path, interface, name, reply, userdata, NULL);
        else if (r >= 0)
                r = sd_bus_message_append_basic(reply, *type, (const char *) userdata + v->x.property.offset);
        if (r >= 0)
                r = sd_bus_message_close_container(reply);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

int objects_append(sd_bus_message *reply, const char *path, const char *interface, const sd_bus_vtable *vtable, void *userdata) {
        int r = sd_bus_message_open_container(reply, 'e', "oa{sa{sv}}");
        if (r >= 0)
                r = sd_bus_message_append_basic(reply, 'o', path);
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "{sa{sv}}");
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'e', "sa{sv}");
        if (r >= 0)
                r = sd_bus_message_append_basic(reply, 's', interface);
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "{sv}");
        for (const sd_bus_vtable *v = vtable; r >= 0 && v->type != _SD_BUS_VTABLE_END; v++)
                if (v->type == _SD_BUS_VTABLE_PROPERTY)
                        r = append_property(reply, path, interface, v, userdata);
        for (size_t depth = 4; r >= 0 && depth > 0; depth--)
                r = sd_bus_message_close_container(reply);
        return r;
}

static int get_objects(Manager *m, sd_bus_message *call, json_object *by, sd_bus_error *reterr) {
        sd_bus_message *reply = NULL;

        int r = asks_charge(m, call, (uint32_t) json_u64(by, "uid"), (m->n_slots + m->n_removals) * OBJECT_BYTES, reterr);
        if (r < 0)
                return r;
        r = sd_bus_message_new_method_return(call, &reply);
        if (r < 0)
                return r;
        _cleanup_(sd_bus_message_unrefp) _unused_ sd_bus_message *owned = reply;
        r = sd_bus_message_open_container(reply, 'a', "{oa{sa{sv}}}");
        if (r >= 0)
                r = slot_bus_append_all(m, reply);
        if (r >= 0)
                r = removal_bus_append_all(m, reply);
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
static int refuse_path(Manager *m, sd_bus_message *call, sd_bus_error *reterr) {
        int r = who_pays(m, call, REPLY_BYTES, reterr);

        return r < 0 ? r : sd_bus_error_setf(reterr, SD_BUS_ERROR_UNKNOWN_OBJECT, "No object has a path of more than %d bytes.", PATH_BYTES_MAX);
}

static int on_call(sd_bus_message *call, void *userdata, sd_bus_error *reterr) {
        const char *interface = sd_bus_message_get_interface(call), *member = sd_bus_message_get_member(call), *path = sd_bus_message_get_path(call);

        if (sd_bus_message_is_method_call(call, interface, member) <= 0)
                return 0;
        if (strlen(path) > PATH_BYTES_MAX)
                return refuse_path(userdata, call, reterr);
        /* Calls without an interface are fine by the bus. */
        if (streq(member, "GetManagedObjects") && streq(path, MANAGER_PATH) &&
            (!interface || streq(interface, "org.freedesktop.DBus.ObjectManager")))
                return who_asks(userdata, call, get_objects, reterr);
        size_t bytes = startswith(path, MANAGER_PATH) ? bytes_of_library(interface, member) : REPLY_BYTES;
        return bytes > 0 ? who_pays(userdata, call, bytes, reterr) : 0;
}

int objects_register(Manager *m, sd_bus *bus) {
        int r = sd_bus_add_object_manager(bus, NULL, MANAGER_PATH); /* it tells who comes and goes */

        return r < 0 ? r : sd_bus_add_filter(bus, NULL, on_call, m);
}
