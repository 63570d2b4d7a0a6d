/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "kernel/mounts/mountinfo.h"
#include "kernel/sysfs/attr.h"
#include "kernel/sysfs/driver.h"
#include "kernel/sysfs/listing.h"
#include "topology/load/load.h"

#define DEVICES "/sys/bus/dax/devices"

/* The component behind the one that begins with `parent`, where that is a region. */
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

/* mapping0, mapping1, ... one for each range (drivers/dax/bus.c:devm_register_dax_mapping). Kernels without them have
 * one range. */
static int count_ranges(Topology *t, const char *name, unsigned *ret) {
        _cleanup_listing_ Listing l = { 0 };
        unsigned n = 0;

        int r = device_listing(t, &l, DEVICES "/%s", name);
        if (r < 0)
                return r;
        for (size_t i = 0; i < l.n; i++) {
                const char *number = startswith(l.names[i], "mapping");
                n += number && *number >= '0' && *number <= '9';
        }
        *ret = n > 0 ? n : 1;
        return 0;
}

static int read_node(Topology *t, DaxDevice *d) {
        _cleanup_free_ char *node = NULL;

        int r = attr_readf(&node, DEVICES "/%s/target_node", d->name);
        if (r >= 0)
                r = parse_node(node, &d->target_node);
        return r < 0 ? odd_addf(t, r, DEVICES "/%s/target_node", d->name) : 0;
}

static int read_dax(Topology *t, DaxDevice *d) {
        int r = read_ancestors(t, d);
        if (r >= 0)
                r = device_driver(t, "dax", d->name, &d->driver);
        if (r >= 0)
                r = required_u64f(t, &d->size, DEVICES "/%s/size", d->name);
        if (r >= 0)
                r = required_u64f(t, &d->start, DEVICES "/%s/resource", d->name);
        uint64_t end;
        if (r >= 0 && __builtin_add_overflow(d->start, d->size, &end)) {
                d->size = 0;
                r = odd_addf(t, -ERANGE, DEVICES "/%s/size", d->name);
        }
        if (r >= 0)
                r = read_node(t, d);
        if (r >= 0)
                r = count_ranges(t, d->name, &d->n_ranges);
        if (r >= 0)
                r = read_dev(t, d);
        return r < 0 ? r : optional_textf(t, &d->state, DEVICES "/%s/state", d->name);
}

/* A seed (what `create` hands out next) has no memory and no driver: there is nothing to see. */
static bool is_seed(const Topology *t, const DaxDevice *d, size_t n_odd) {
        return d->size == 0 && !d->driver && t->n_odd == n_odd;
}

static int add_dax(Topology *t, const char *name) {
        DaxDevice *d = TOPOLOGY_ADD(t, daxes);
        if (!d)
                return -ENOMEM;

        size_t n_odd = t->n_odd;
        d->target_node = -1;
        d->name = strdup(name);
        int r = d->name ? read_dax(t, d) : -ENOMEM;
        return r >= 0 && is_seed(t, d, n_odd) ? DEVICE_IS_NOTHING : r;
}

static bool is_dax(const char *name) {
        return startswith(name, "dax");
}

int load_daxes(Topology *t) {
        static const DeviceKind kind = { DEVICES, is_dax, add_dax, topology_drop_dax };

        return load_devices(t, &kind);
}
