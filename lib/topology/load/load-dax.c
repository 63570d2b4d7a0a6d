/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "base/fileio.h"
#include "kernel/cxl/dax.h"
#include "kernel/mounts/mountinfo.h"
#include "kernel/sysfs/attr.h"
#include "kernel/sysfs/driver.h"
#include "kernel/sysfs/listing.h"
#include "topology/load/load.h"

#define DEVICES DAX_DEVICES

/* The component after the one that begins with `parent`, where that is a region. */
static char *region_below(const char *path, const char *parent) {
        const char *above = strstr(path, parent);
        const char *region = above ? strchr(above + 1, '/') : NULL;

        if (!region || !startswith(region, "/region"))
                return NULL;
        return strndup(region + 1, strcspn(region + 1, "/"));
}

/* A region in a dax device's line of ancestors: ".../decoder0.0/region0/dax_region0/dax0.0" is a CXL region,
 * ".../ndbus0/region0/dax0.0/dax0.1" one of an nvdimm bus. */
static int read_ancestors(Topology *t, DaxDevice *d) {
        _cleanup_free_ char *path = NULL;

        int r = device_linkf(t, &path, DEVICES "/%s", d->name);
        if (r < 0 || !path)
                return r;
        d->region = region_below(path, "/decoder");
        if (!d->region)
                d->nd_region = region_below(path, "/ndbus");
        return 0;
}

/* Only what is bound to device_dax has a node; the number is there before and after (drivers/dax/super.c:dax_alloc_dev). */
static int read_dev(Topology *t, DaxDevice *d) {
        _cleanup_free_ char *dev = NULL;

        int r = attr_readf(&dev, DEVICES "/%s/dev", d->name);
        if (is_gone(r) && !streq_ptr(d->driver, "device_dax"))
                return 0;
        if (r >= 0)
                r = dev_parse(dev, &d->dev);
        return r < 0 ? odd_addf(t, r, DEVICES "/%s/dev", d->name) : 0;
}

/* Where its memory is libdaxctl says. A device that it leaves out, and one of which it says what does not fit together, stays without ranges,
 * and that is noted. */
static int take_ranges(Topology *t, DaxDevice *d) {
        const DaxSeen *seen = dax_list_find(t->dax_list, d->name);

        /* It leaves out what has no size, which we have read, or no node in /dev. */
        if (!seen)
                return path_existsf(DEVICES "/%s", d->name) ? odd_addf(t, -ENODATA, DEVICES "/%s/dev", d->name) : -ENODEV;
        d->align = seen->align;
        if (d->align & (d->align - 1))
                return odd_addf(t, -EBADMSG, DEVICES "/%s/align", d->name);
        if (seen->unread || (seen->n_ranges > 0 && seen->ranges[0].start != d->start))
                return odd_addf(t, -EBADMSG, DEVICES "/%s/mapping0", d->name);
        d->ranges = calloc(seen->n_ranges + 1, sizeof(*d->ranges));
        if (!d->ranges)
                return -ENOMEM;
        memcpy(d->ranges, seen->ranges, seen->n_ranges * sizeof(*d->ranges));
        d->n_ranges = seen->n_ranges;
        return 0;
}

static int read_memmap(Topology *t, DaxDevice *d) {
        size_t n_odd = t->n_odd;

        int r = optional_textf(t, &d->memmap_on_memory, DEVICES "/%s/memmap_on_memory", d->name);
        if (r < 0 || t->n_odd > n_odd || streq_ptr(d->memmap_on_memory, "0") || streq_ptr(d->memmap_on_memory, "1"))
                return r;
        return d->memmap_on_memory || path_existsf(DEVICES "/%s/memmap_on_memory", d->name) ?
                       odd_addf(t, -EBADMSG, DEVICES "/%s/memmap_on_memory", d->name) : 0;
}

/* Steps find a device by where it begins, and the library does not tell an address that it could not read from 0: that one we read. And the size,
 * so that the witness (find-libraries.c) is not held against itself. */
static int add_dax(Topology *t, const char *name) {
        _cleanup_free_ char *node = NULL;
        DaxDevice *d = TOPOLOGY_ADD(t, daxes);
        if (!d)
                return -ENOMEM;
        size_t all_odd = t->n_odd;
        d->target_node = -1;
        d->name = strdup(name);
        if (!d->name)
                return -ENOMEM;

        int r = read_ancestors(t, d);
        if (r >= 0)
                r = device_driver(t, "dax", d->name, &d->driver);
        size_t n_odd = t->n_odd;
        if (r >= 0)
                r = required_u64f(t, &d->start, DEVICES "/%s/resource", d->name);
        if (r >= 0)
                r = required_u64f(t, &d->size, DEVICES "/%s/size", d->name);
        if (r >= 0 && t->n_odd == n_odd)
                r = take_ranges(t, d);
        if (r < 0)
                return r;
        r = attr_readf(&node, DEVICES "/%s/target_node", d->name);
        if (r >= 0)
                r = parse_node(node, &d->target_node);
        if (r < 0)
                r = odd_addf(t, r, DEVICES "/%s/target_node", d->name);
        if (r >= 0)
                r = read_dev(t, d);
        if (r >= 0)
                r = read_memmap(t, d);
        if (r >= 0)
                r = optional_textf(t, &d->state, DEVICES "/%s/state", d->name);
        /* A seed (what `create` hands out next) has no memory and no driver: there is nothing to see. */
        return r >= 0 && d->size == 0 && !d->driver && t->n_odd == all_odd ? DEVICE_IS_NOTHING : r;
}

static bool is_dax(const char *name) {
        return startswith(name, "dax");
}

int load_daxes(Topology *t) {
        static const DeviceKind kind = { DEVICES, is_dax, add_dax, topology_drop_dax };
        _cleanup_(dax_list_done) DaxList list = { 0 };

        int r = dax_list_read(&list);
        if (r < 0)
                return r;
        t->dax_list = &list;
        r = load_devices(t, &kind);
        t->dax_list = NULL;
        return r;
}
