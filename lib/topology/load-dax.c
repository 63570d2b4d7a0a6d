/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "base/parse.h"
#include "kernel/attr.h"
#include "kernel/driver.h"
#include "kernel/listing.h"
#include "topology/load.h"

#define DEVICES "/sys/bus/dax/devices"

/* A CXL region in a dax device's line of ancestors: ".../decoder0.0/region0/dax_region0/dax0.0". An NVDIMM region has the
 * same kind of name, but sits below a bus ("ndbus0/region0"). */
static char *region_of_path(const char *path) {
        const char *decoder = strstr(path, "/decoder");
        const char *region = decoder ? strchr(decoder + 1, '/') : NULL;

        if (!region || !startswith(region, "/region"))
                return NULL;
        return strndup(region + 1, strcspn(region + 1, "/"));
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
        _cleanup_free_ char *path = NULL, *node = NULL;

        int r = link_readf(&path, DEVICES "/%s", d->name);
        if (r < 0)
                return r;
        d->region = region_of_path(path);

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
        return d->name ? read_dax(d) : -ENOMEM;
}

int load_daxes(Topology *t) {
        _cleanup_listing_ Listing l = { 0 };

        int r = listing_readf(&l, DEVICES);
        if (r < 0)
                return r == -ENOENT ? 0 : r;
        for (size_t i = 0; i < l.n; i++) {
                if (!startswith(l.names[i], "dax"))
                        continue;
                r = add_dax(t, l.names[i]);
                if (is_gone(r) && !path_existsf(DEVICES "/%s", l.names[i]))
                        topology_drop_dax(t);
                else if (r < 0)
                        return r;
                else if (is_seed(&t->daxes[t->n_daxes - 1]))
                        topology_drop_dax(t);
        }
        return 0;
}
