/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "kernel/attr.h"
#include "kernel/driver.h"
#include "kernel/listing.h"
#include "kernel/mountinfo.h"
#include "topology/load.h"

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
static int read_ancestors(DaxDevice *d) {
        _cleanup_free_ char *path = NULL;

        int r = link_readf(&path, DEVICES "/%s", d->name);
        if (r < 0)
                return r;
        d->region = region_below(path, "/decoder");
        if (!d->region)
                d->nd_region = region_below(path, "/ndbus");
        return 0;
}

/* Only what is bound to device_dax has a node; the number is there before and after (drivers/dax/super.c:dax_alloc_dev). */
static int read_dev(DaxDevice *d) {
        _cleanup_free_ char *dev = NULL;

        int r = optional_textf(&dev, DEVICES "/%s/dev", d->name);
        return r < 0 || !dev ? r : dev_parse(dev, &d->dev);
}

/* mapping0, mapping1, ... one for each range (drivers/dax/bus.c:devm_register_dax_mapping). Kernels without them have
 * one range. */
static int count_ranges(const char *name, unsigned *ret) {
        _cleanup_listing_ Listing l = { 0 };
        unsigned n = 0;

        int r = listing_readf(&l, DEVICES "/%s", name);
        if (r < 0)
                return r;
        for (size_t i = 0; i < l.n; i++) {
                const char *number = startswith(l.names[i], "mapping");
                n += number && *number >= '0' && *number <= '9';
        }
        *ret = n > 0 ? n : 1;
        return 0;
}

static int read_dax(DaxDevice *d) {
        _cleanup_free_ char *node = NULL;

        int r = read_ancestors(d);
        if (r >= 0)
                r = driver_of("dax", d->name, &d->driver);
        if (r >= 0)
                r = attr_read_u64f(&d->size, DEVICES "/%s/size", d->name);
        if (r >= 0)
                r = attr_read_u64f(&d->start, DEVICES "/%s/resource", d->name);
        if (r >= 0)
                r = attr_readf(&node, DEVICES "/%s/target_node", d->name);
        if (r >= 0)
                r = parse_node(node, &d->target_node);
        if (r >= 0)
                r = count_ranges(d->name, &d->n_ranges);
        if (r >= 0)
                r = read_dev(d);
        if (r < 0)
                return r;

        r = attr_readf(&d->state, DEVICES "/%s/state", d->name);
        return r == -ENOENT ? 0 : r;
}

/* A seed (what `create` hands out next) has no memory and no driver: there is nothing to see. */
static bool is_seed(const DaxDevice *d) {
        return d->size == 0 && !d->driver;
}

static int add_dax(Topology *t, const char *name) {
        DaxDevice *d = TOPOLOGY_ADD(t, daxes);
        if (!d)
                return -ENOMEM;

        d->target_node = -1;
        d->name = strdup(name);
        int r = d->name ? read_dax(d) : -ENOMEM;
        return r >= 0 && is_seed(d) ? DEVICE_IS_NOTHING : r;
}

static bool is_dax(const char *name) {
        return startswith(name, "dax");
}

int load_daxes(Topology *t) {
        static const DeviceKind kind = { DEVICES, is_dax, add_dax, topology_drop_dax };

        return load_devices(t, &kind);
}
