/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Namespaces of persistent memory. A namespace is driven itself (raw) or claimed by a device that gives it its mode: pfnN.N
 * (fsdax), daxN.N of the nd bus (devdax), bttN.N (sector); then that device has the driver. */
#include <errno.h>

#include "kernel/sysfs/attr.h"
#include "kernel/sysfs/driver.h"
#include "kernel/sysfs/listing.h"
#include "topology/load/load.h"

#define DEVICES "/sys/bus/nd/devices"

static const char *word_for(const char *const table[][2], size_t n, const char *word) {
        for (size_t i = 0; word && i < n; i++)
                if (streq(table[i][0], word))
                        return table[i][1];
        return NULL;
}

/* What the namespace is (`mode`), or, without a claim, what its label says it is to become (`holder_class`):
 * drivers/nvdimm/namespace_devs.c:mode_show, holder_class_show. */
static int read_mode(Topology *t, Namespace *n) {
        static const char *const modes[][2] = { { "memory", "fsdax" }, { "dax", "devdax" }, { "safe", "sector" } };
        static const char *const classes[][2] = { { "pfn", "fsdax" }, { "dax", "devdax" }, { "btt", "sector" }, { "btt2", "sector" } };
        _cleanup_free_ char *mode = NULL, *class = NULL;

        int r = optional_textf(t, &mode, DEVICES "/%s/mode", n->name);
        if (r >= 0)
                r = optional_textf(t, &class, DEVICES "/%s/holder_class", n->name);
        if (r < 0)
                return r;

        const char *word = word_for(modes, ELEMENTSOF(modes), mode);
        if (!word && !n->driver)
                word = word_for(classes, ELEMENTSOF(classes), class);
        n->mode = strdup(word ?: "raw");
        return n->mode ? 0 : -ENOMEM;
}

static int read_device(Topology *t, Namespace *n) {
        int r = optional_textf(t, &n->device, DEVICES "/%s/holder", n->name);
        if (r >= 0 && !n->device) {
                n->device = strdup(n->name);
                r = n->device ? 0 : -ENOMEM;
        }
        if (r >= 0 && !path_existsf(DEVICES "/%s", n->device))
                r = odd_addf(t, -ENOENT, DEVICES "/%s/holder", n->name);
        if (r < 0)
                return r;
        if (!streq(n->device, n->name)) {
                r = optional_u64f(t, &n->data_start, DEVICES "/%s/resource", n->device);
                if (r >= 0)
                        r = optional_u64f(t, &n->data_size, DEVICES "/%s/size", n->device);
                if (r < 0)
                        return r;
        }
        r = device_driver(t, "nd", n->device, &n->driver);
        /* The claim went away just now. */
        return is_gone(r) && !streq(n->device, n->name) ? 0 : r;
}

static int read_block(Topology *t, Namespace *n) {
        _cleanup_listing_ Listing l = { 0 };

        int r = device_listing(t, &l, DEVICES "/%s/block", n->device);
        if (r < 0 || l.n == 0)
                return r;
        n->block = strdup(l.names[0]);
        return n->block ? 0 : -ENOMEM;
}

/* The dax device is a child of the claim; both have names of the same form, each on its bus. */
static int read_dax(Topology *t, Namespace *n) {
        _cleanup_listing_ Listing l = { 0 };

        int r = device_listing(t, &l, DEVICES "/%s", n->device);
        if (r < 0)
                return r;
        for (size_t i = 0; i < l.n; i++) {
                if (!startswith(l.names[i], "dax") || !path_existsf("/sys/bus/dax/devices/%s", l.names[i]))
                        continue;
                n->dax = strdup(l.names[i]);
                return n->dax ? 0 : -ENOMEM;
        }
        return 0;
}

static int read_namespace(Topology *t, Namespace *n) {
        int r = device_parent(t, "nd", n->name, &n->nd_region);

        if (r >= 0)
                r = required_u64f(t, &n->size, DEVICES "/%s/size", n->name);
        if (r >= 0)
                r = optional_textf(t, &n->uuid, DEVICES "/%s/uuid", n->name);
        if (r >= 0)
                r = read_device(t, n);
        if (r >= 0)
                r = read_mode(t, n);
        if (r >= 0)
                r = read_block(t, n);
        return r < 0 ? r : read_dax(t, n);
}

/* Each region keeps one that is nothing yet, for the next to be made of. */
static bool is_seed(const Topology *t, const Namespace *n, size_t n_odd) {
        return n->size == 0 && !n->driver && t->n_odd == n_odd;
}

static int add_namespace(Topology *t, const char *name) {
        Namespace *n = TOPOLOGY_ADD(t, namespaces);
        if (!n)
                return -ENOMEM;

        size_t n_odd = t->n_odd;
        n->name = strdup(name);
        int r = n->name ? read_namespace(t, n) : -ENOMEM;
        return r >= 0 && is_seed(t, n, n_odd) ? DEVICE_IS_NOTHING : r;
}

static bool is_namespace(const char *name) {
        return startswith(name, "namespace");
}

int load_namespaces(Topology *t) {
        static const DeviceKind kind = { DEVICES, is_namespace, add_namespace, topology_drop_namespace };

        return load_devices(t, &kind);
}
