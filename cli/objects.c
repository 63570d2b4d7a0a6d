/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "base/clock.h"
#include "cli/text/output.h"
#include "client.h"

typedef struct Objects {
        json_object *slots, *removals;
} Objects;

static int read_interface(sd_bus_message *m, void *userdata) {
        _cleanup_json_ json_object *o = NULL;
        Objects *objects = userdata;
        const char *interface;

        int r = sd_bus_message_read_basic(m, 's', &interface);
        if (r < 0)
                return r;

        json_object *array = streq(interface, BUS_SLOT) ? objects->slots : streq(interface, BUS_REMOVAL) ? objects->removals : NULL;
        if (!array)
                return sd_bus_message_skip(m, "a{sv}");

        r = bus_read_properties(m, &o);
        if (r < 0)
                return r;
        if (output.json == JSON_OFF)
                json_make_printable(o);
        json_object_array_add(array, TAKE_PTR(o));
        return 0;
}

static int read_object(sd_bus_message *m, void *userdata) {
        int r = sd_bus_message_skip(m, "o");

        return r < 0 ? r : bus_read_dict(m, "sa{sv}", read_interface, userdata);
}

/* Slot names and ids are numbers more often than not: 2 before 10. */
static int compare(const void *a, const void *b, const char *key) {
        const char *x = json_str(*(json_object *const *) a, key), *y = json_str(*(json_object *const *) b, key);

        return strverscmp(x ?: "", y ?: "");
}

static int compare_name(const void *a, const void *b) {
        return compare(a, b, "name");
}

static int newest_first(const void *a, const void *b) {
        return compare(b, a, "id");
}

ExitCode client_objects(sd_bus *bus, json_object **ret_slots, json_object **ret_removals) {
        _cleanup_json_ json_object *slots = json_object_new_array(), *removals = json_object_new_array();
        _cleanup_error_ sd_bus_error e = SD_BUS_ERROR_NULL;
        _cleanup_message_ sd_bus_message *m = NULL, *reply = NULL;

        int r = sd_bus_message_new_method_call(bus, &m, BUS_NAME, BUS_PATH, "org.freedesktop.DBus.ObjectManager",
                                               "GetManagedObjects");
        if (r >= 0)
                r = sd_bus_call(bus, m, 30 * USEC_PER_SEC, &e, &reply);
        if (r < 0)
                return client_fail(r, &e);

        r = bus_read_dict(reply, "oa{sa{sv}}", read_object, &(Objects) { .slots = slots, .removals = removals });
        if (r < 0)
                return client_fail(-EBADMSG, NULL);
        json_object_array_sort(slots, compare_name);
        json_object_array_sort(removals, newest_first);

        *ret_slots = TAKE_PTR(slots);
        *ret_removals = TAKE_PTR(removals);
        return CODE_DONE;
}
