/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "objects.h"

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
