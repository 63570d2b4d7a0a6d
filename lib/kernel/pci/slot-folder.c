/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "kernel/pci/slot-folder.h"
#include "kernel/sysfs/attr.h"
#include "kernel/sysfs/listing.h"

#define SLOTS "/sys/bus/pci/slots"

int slot_address_below(const char *port, char **ret) {
        uint64_t bus;

        int r = attr_read_u64f(&bus, "/sys/bus/pci/devices/%s/secondary_bus_number", port);
        if (r < 0)
                return r;
        if (bus > UINT8_MAX)
                return -EBADMSG;
        char *address = strf("%.*s:%02x:00", (int) strcspn(port, ":"), port, (unsigned) bus);
        if (!address)
                return -ENOMEM;
        *ret = address;
        return 0;
}

/* "DDDD:BB:DD", or "DDDD:BB" for one that has the whole bus (drivers/pci/slot.c:address_read_file). */
char *slot_address_complete(const char *address) {
        const char *bus = strchr(address, ':');

        return strf("%s%s", address, bus && strchr(bus + 1, ':') ? "" : ":00");
}

/* 1: this folder is at the address. One that goes away meanwhile is nobody's. */
static int is_at(const char *name, const char *address) {
        _cleanup_free_ char *text = NULL, *complete = NULL;

        if (attr_readf(&text, SLOTS "/%s/address", name) < 0)
                return 0;
        complete = slot_address_complete(text);
        return complete ? streq(complete, address) : -ENOMEM;
}

int slot_folder_at(const char *address, char **ret_name) {
        _cleanup_listing_ Listing l = { 0 };
        _cleanup_free_ char *without_power = NULL;

        int r = listing_readf(&l, SLOTS);
        if (r < 0)
                return r == -ENOENT ? -ENODEV : r;
        for (size_t i = 0; i < l.n; i++) {
                r = is_at(l.names[i], address);
                if (r < 0)
                        return r;
                if (r == 0)
                        continue;
                char *name = strdup(l.names[i]);
                if (!name)
                        return -ENOMEM;
                if (path_existsf(SLOTS "/%s/power", name)) {
                        *ret_name = name;
                        return 0;
                }
                free(without_power);
                without_power = name;
        }
        if (!without_power)
                return -ENODEV;
        *ret_name = TAKE_PTR(without_power);
        return 0;
}

char *slot_word(const char *name) {
        _cleanup_free_ char *word = NULL;

        if (!name)
                return NULL;
        word = strf("%s%s", name[strspn(name, "0123456789-")] == '\0' ? "" : "slot:", name);
        return shell_quoted(word);
}
