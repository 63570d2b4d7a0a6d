/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Dax devices that programs open, and which driver takes which (drivers/dax/bus.c, drivers/dax/device.c).
 *
 * Modelled: a driver's list of names, which outlives the devices; the addresses that device_dax has reserved; users that are there when it goes. Not
 * modelled: the size of a device, its align, several ranges. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "model.h"
#include "storage/nodes.h"

static const char *name_of(const char *path) {
        return strrchr(path, '/') + 1;
}

/* dax_match_type(): memory of a region is the kernel's, a namespace is a device. */
static bool is_of_type(const char *device, const char *driver) {
        return strcmp(driver, strstr(device, "/dax_region") ? "kmem" : "device_dax") == 0;
}

bool dax_id_matches(const char *device, const char *driver) {
        return is_of_type(device, driver) || tree_has(STORE "/dax-id-%s-%s", driver, name_of(device));
}

void dax_id_note(const char *device, const char *driver) {
        if (!is_of_type(device, driver))
                tree_put("", STORE "/dax-id-%s-%s", driver, name_of(device));
}

/* do_id_store(): a name of the list is taken at once, where nobody has the device. */
int dax_id(const char *path, const char *value) {
        char driver[PATH_MAX], device[PATH_MAX], bind[PATH_MAX], id[PATH_MAX];
        bool adds = strcmp(name_of(path), "new_id") == 0;

        (void) snprintf(driver, sizeof(driver), "%s", path);
        (void) snprintf(id, sizeof(id), STORE "/dax-id-%s-%.64s", name_of(folder_of(driver)), value);
        if (!adds) {
                (void) unlink(id);
                return 0;
        }
        tree_put("", "%s", id);
        (void) snprintf(bind, sizeof(bind), "%.4000s/bind", driver);
        if (tree_resolve(device, "/sys/bus/dax/devices/%s", value) && !tree_has("%s/driver", device))
                (void) dax_driver(bind, value);
        return 0;
}

void dax_device_turn(const char *device, bool takes) {
        uint64_t start = tree_number("%s/mapping0/start", device), end = tree_number("%s/mapping0/end", device);

        if (takes) {
                iomem_add(start, end, name_of(device));
                return;
        }
        node_in_use(device, "is unmapped");
        iomem_remove(start, name_of(device));
}
