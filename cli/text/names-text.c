/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>

#include "card-view.h"
#include "names-text.h"

/* Of one slot's card: an array of the view, the key of the name, what stands before it, and what it is. */
static const struct {
        const char *array, *key, *prefix, *what;
} kinds[] = {
        { "functions", "bdf", "", "PCI function" }, { "memdevs", "name", "", "memory device" },
        { "regions", "name", "", "region" },        { "dax", "name", "", "dax device" },
        { "nodes", "id", "node", "NUMA node" },
};

/* A name with a line end or a tab in it (a mount point's) cannot be typed either. */
static bool is_name(const char *name) {
        return name && *name && utf8_is_printable(name);
}

static void print_name(const char *prefix, const char *name, const char *what, const char *slot) {
        if (is_name(name) && is_name(slot))
                printf("%s%s\t%s, slot %s\n", prefix, name, what, slot);
}

static void print_alone(const char *prefix, const char *name, const char *what) {
        if (is_name(name))
                printf("%s%s\t%s\n", prefix, name, what);
}

static void print_of_slot(json_object *topology, json_object *slot) {
        const char *name = json_str(slot, "name") ?: "?", *port = json_str(slot, "port"), *serial = json_str(json_get(slot, "card"), "serial");
        _cleanup_json_ json_object *view = card_view(topology, name);

        if (!json_get(slot, "card")) {
                print_alone("", name, "empty slot");
                return;
        }
        print_alone("", name, "slot");
        print_name("port:", port, "port", name);
        print_name("serial:", serial, "serial number", name);
        for (size_t i = 0; i < ELEMENTSOF(kinds); i++) {
                json_object *items = json_array(view, kinds[i].array);
                for (size_t k = 0; k < json_len(items); k++) {
                        json_object *value = json_get(json_at(items, k), kinds[i].key);
                        print_name(kinds[i].prefix, value ? json_object_get_string(value) : NULL, kinds[i].what, name);
                }
        }
}

static bool has(json_object *strings, const char *s) {
        for (size_t i = 0; i < json_len(strings); i++)
                if (streq_ptr(json_object_get_string(json_at(strings, i)), s))
                        return true;
        return false;
}

static bool any_in(json_object *strings, json_object *of) {
        for (size_t i = 0; i < json_len(strings); i++)
                if (has(of, json_object_get_string(json_at(strings, i))))
                        return true;
        return false;
}

static bool is_in_slot(json_object *topology, const char *bdf) {
        return bdf && json_str(json_find(json_array(topology, "functions"), "bdf", bdf), "slot");
}

/* Names of block devices that are on a card, or on one that is. */
static json_object *devices_on_cards(json_object *topology) {
        json_object *devices = json_array(topology, "block_devices"), *spaces = json_array(topology, "namespaces"), *found = json_object_new_array();
        bool more = true;

        for (size_t i = 0; i < json_len(spaces); i++)
                if (json_str(json_at(spaces, i), "block_device"))
                        json_append_str(found, json_str(json_at(spaces, i), "block_device"));
        while (more) {
                more = false;
                for (size_t i = 0; i < json_len(devices); i++) {
                        json_object *d = json_at(devices, i);
                        const char *name = json_str(d, "name");
                        if (!name || has(found, name) || !(is_in_slot(topology, json_str(d, "bdf")) || any_in(json_array(d, "lower"), found)))
                                continue;
                        json_append_str(found, name);
                        more = true;
                }
        }
        return found;
}

static void print_storage(json_object *topology) {
        _cleanup_json_ json_object *devices = devices_on_cards(topology);
        json_object *spaces = json_array(topology, "namespaces"), *systems = json_array(topology, "file_systems"), *nmems = json_array(topology, "nmems"),
                    *mounts = json_array(topology, "mounts");

        for (size_t i = 0; i < json_len(nmems); i++)
                print_name("", json_str(json_at(nmems, i), "name"), "memory module", json_str(json_at(nmems, i), "slot") ?: "-");
        for (size_t i = 0; i < json_len(spaces); i++)
                print_alone("", json_str(json_at(spaces, i), "name"), "namespace");
        for (size_t i = 0; i < json_len(devices); i++)
                print_alone("/dev/", json_object_get_string(json_at(devices, i)), "device");
        /* Those that the caller sees under this name. */
        for (size_t i = 0; i < json_len(mounts); i++) {
                json_object *m = json_at(mounts, i);
                json_object *fs = json_find(systems, "dev", json_str(m, "dev"));
                if (any_in(json_array(fs, "devices"), devices) && json_u64(m, "ns") == json_u64(json_at(mounts, 0), "ns"))
                        print_alone("", json_str(m, "target"), "mount point");
        }
}

void names_print(json_object *topology) {
        json_object *slots = json_array(topology, "slots");

        for (size_t i = 0; i < json_len(slots); i++)
                print_of_slot(topology, json_at(slots, i));
        print_storage(topology);
}
