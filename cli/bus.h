/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#include "base/json.h"
#include "base/util.h"

#define BUS_NAME "org.saferemove1"
#define BUS_PATH "/org/saferemove1"
#define BUS_MANAGER "org.saferemove1.Manager"
#define BUS_SLOT "org.saferemove1.Slot"
#define BUS_REMOVAL "org.saferemove1.Removal"
#define BUS_SLOT_PREFIX BUS_PATH "/slot"
#define BUS_REMOVAL_PREFIX BUS_PATH "/removal"

static inline void bus_closep(sd_bus **bus) {
        sd_bus_flush_close_unref(*bus);
}

static inline void bus_message_unrefp(sd_bus_message **m) {
        sd_bus_message_unref(*m);
}

static inline void event_unrefp(sd_event **e) {
        sd_event_unref(*e);
}

#define _cleanup_bus_ _cleanup_(bus_closep)
#define _cleanup_message_ _cleanup_(bus_message_unrefp)
#define _cleanup_error_ _cleanup_(sd_bus_error_free)
#define _cleanup_event_ _cleanup_(event_unrefp)

/* Goes through the array of dictionary entries at the message's read position; entry: the types of key and value. read() reads both.
 * Ends with the first negative errno, of read() or of rubbish. */
int bus_read_dict(sd_bus_message *m, const char *entry, int (*read)(sd_bus_message *m, void *userdata), void *userdata);

/* An a{sv} at the message's read position as an object: "PowerLed" becomes "power_led", an object path of ours the name
 * behind it ("7", null for "/"). Values of other types than the interface uses are left out. Negative errno on rubbish. */
int bus_read_properties(sd_bus_message *m, json_object **ret);

/* The name that an object path of ours stands for; NULL when it is none. */
char *bus_name_of_path(const char *path);

/* The document that an answer brings: in a descriptor, or kept by the daemon (Keep...) and read from there. Newly allocated. */
int bus_read_document(sd_bus_message *reply, uint64_t deadline, char **ret, sd_bus_error *reterr);
