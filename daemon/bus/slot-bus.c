/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/strv.h"
#include "locate-bus.h"
#include "slot-bus.h"

static int get_text(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply,
                void *userdata, sd_bus_error *error) {
        const ManagedSlot *s = userdata;
        int what = slot_text_from_string(property);

        return what < 0 ? what : sd_bus_message_append(reply, "s", slot_get(s, (SlotText) what));
}

static int get_removal(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply,
                void *userdata, sd_bus_error *error) {
        return sd_bus_message_append(reply, "o", slot_get(userdata, SLOT_TEXT_REMOVAL));
}

static int get_flag(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply,
                void *userdata, sd_bus_error *error) {
        const ManagedSlot *s = userdata;

        bool value = streq(property, "Held") ? s->view.held : streq(property, "Stale") ? s->view.stale : s->view.occupied;

        return sd_bus_message_append(reply, "b", (int) value);
}

static int get_located(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply,
                void *userdata, sd_bus_error *error) {
        return sd_bus_message_append(reply, "t", ((const ManagedSlot *) userdata)->view.located_until);
}

/* An object's methods get the object, and whose it is is known by who listens to it. */
static int on_locate(sd_bus_message *call, void *userdata, sd_bus_error *error) {
        const Bus *b = ((const ManagedSlot *) userdata)->manager->listener_data;

        return who_asks(b->who, call, locate_bus_slot, error);
}

static const sd_bus_vtable slot_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_PROPERTY("Name", "s", get_text, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("Port", "s", get_text, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("CardAddress", "s", get_text, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("Memdev", "s", get_text, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("Serial", "s", get_text, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("Occupied", "b", get_flag, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("Held", "b", get_flag, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("Stale", "b", get_flag, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("Power", "s", get_text, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("PowerLed", "s", get_text, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("AttentionLed", "s", get_text, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("State", "s", get_text, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("MemoryStays", "s", get_text, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("Removal", "o", get_removal, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("LastRemoval", "s", get_text, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("LastOutcome", "s", get_text, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("LastCode", "s", get_text, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("Incident", "s", get_text, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_PROPERTY("LocatedUntil", "t", get_located, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_METHOD_WITH_ARGS("Locate", SD_BUS_ARGS("u", seconds), SD_BUS_NO_RESULT, on_locate, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_VTABLE_END
};

static int find(sd_bus *bus, const char *path, const char *interface, void *userdata, void **ret_found, sd_bus_error *error) {
        const Manager *m = ((Bus *) userdata)->manager;

        for (size_t i = 0; i < m->n_slots; i++)
                if (streq(m->slots[i]->path, path)) {
                        *ret_found = m->slots[i];
                        return 1;
                }
        return 0;
}

static int enumerate(sd_bus *bus, const char *prefix, void *userdata, char ***ret_nodes, sd_bus_error *error) {
        const Manager *m = ((Bus *) userdata)->manager;
        _cleanup_(strv_freep) char **nodes = calloc(m->n_slots + 1, sizeof(char *));
        if (!nodes)
                return -ENOMEM;

        for (size_t i = 0; i < m->n_slots; i++) {
                nodes[i] = strdup(m->slots[i]->path);
                if (!nodes[i])
                        return -ENOMEM;
        }
        *ret_nodes = TAKE_PTR(nodes);
        return 0;
}

int slot_bus_append_all(const Bus *b, sd_bus_message *reply) {
        const Manager *m = b->manager;
        int r = 0;

        for (size_t i = 0; i < m->n_slots && r >= 0; i++)
                r = objects_append(reply, m->slots[i]->path, SLOT_INTERFACE, slot_vtable, m->slots[i]);
        return r;
}

int slot_bus_register(Bus *b, sd_bus *bus) {
        int r = sd_bus_add_fallback_vtable(bus, NULL, SLOT_PATH, SLOT_INTERFACE, slot_vtable, find, b);
        return r < 0 ? r : sd_bus_add_node_enumerator(bus, NULL, SLOT_PATH, enumerate, b);
}

static void warn(const ManagedSlot *s, int error) {
        if (error < 0)
                log_plain(LOG_WARNING, "Slot %s: the bus cannot be told about it: %s", slot_get(s, SLOT_TEXT_NAME), strerror(-error));
}

static void tell_count(const Bus *b, const ManagedSlot *s) {
        warn(s, buses_properties_changed(b->buses, MANAGER_PATH, MANAGER_INTERFACE, (const char *const[]) { "SlotCount", NULL }));
}

void slot_bus_added(ManagedSlot *s, void *bus) {
        const Bus *b = bus;

        warn(s, buses_object_added(b->buses, s->path));
        tell_count(b, s);
}

void slot_bus_removed(ManagedSlot *s, void *bus) {
        const Bus *b = bus;

        warn(s, buses_object_removed(b->buses, s->path));
        tell_count(b, s);
}

void slot_bus_changed(const ManagedSlot *s, const char *const *properties, void *bus) {
        warn(s, buses_properties_changed(((Bus *) bus)->buses, s->path, SLOT_INTERFACE, properties));
}
