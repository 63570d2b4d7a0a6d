/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* NVDIMMs and the regions over them, of whatever bus: the firmware's (NFIT) or the one that CXL makes for persistent cards. */
#include <errno.h>

#include "base/parse.h"
#include "kernel/sysfs/attr.h"
#include "kernel/sysfs/driver.h"
#include "topology/load/load.h"

#define DEVICES "/sys/bus/nd/devices"
#define CXL "/sys/bus/cxl/devices"

enum {
        MAPPINGS_MAX = 32, /* include/linux/ndctl.h:ND_MAX_MAPPINGS */
};

/* The memdev's bridge to the nvdimm bus is its child "pmemN", which the NVDIMM names as its provider
 * (drivers/cxl/pmem.c:provider_show). */
static int read_memdev(Topology *t, Nmem *n) {
        _cleanup_free_ char *provider = NULL, *path = NULL;

        int r = optional_textf(t, &provider, DEVICES "/%s/cxl/provider", n->name);
        if (r < 0 || !provider)
                return r;
        r = device_linkf(t, &path, CXL "/%s", provider);
        if (r < 0 || !path)
                return is_gone(r) ? 0 : r;
        n->memdev = ancestor(path, 1);
        return n->memdev ? 0 : -ENOMEM;
}

/* CXL's `id` is the card's serial number in decimal; everywhere else we write it in hexadecimal. */
static int read_id(Topology *t, Nmem *n) {
        _cleanup_free_ char *id = NULL;
        uint64_t serial;

        int r = optional_textf(t, &id, DEVICES "/%s/cxl/id", n->name);
        if (r >= 0 && id && parse_u64(id, &serial) >= 0) {
                n->id = strf("0x%jx", (uintmax_t) serial);
                return n->id ? 0 : -ENOMEM;
        }
        if (r >= 0 && !id)
                r = optional_textf(t, &id, DEVICES "/%s/nfit/id", n->name);
        if (r >= 0 && !id)
                r = optional_textf(t, &id, DEVICES "/%s/nfit/serial", n->name);
        if (r >= 0)
                n->id = TAKE_PTR(id);
        return r;
}

static int read_nmem(Topology *t, Nmem *n) {
        int r = device_parent(t, "nd", n->name, &n->bus);

        if (r >= 0)
                r = read_memdev(t, n);
        return r < 0 ? r : read_id(t, n);
}

static int add_nmem(Topology *t, const char *name) {
        Nmem *n = TOPOLOGY_ADD(t, nmems);
        if (!n)
                return -ENOMEM;

        n->name = strdup(name);
        return n->name ? read_nmem(t, n) : -ENOMEM;
}

static bool is_nmem(const char *name) {
        return is_numbered(name, "nmem");
}

/* mapping0, mapping1, ...: "nmem0,OFFSET,LENGTH,POSITION" (drivers/nvdimm/region_devs.c:mappingN). */
static int read_mappings(Topology *t, NdRegion *g) {
        uint64_t count;

        int r = required_u64f(t, &count, DEVICES "/%s/mappings", g->name);
        if (count > MAPPINGS_MAX)
                return odd_addf(t, -ERANGE, DEVICES "/%s/mappings", g->name);
        for (uint64_t i = 0; i < count && r >= 0; i++) {
                _cleanup_free_ char *mapping = NULL;

                r = attr_readf(&mapping, DEVICES "/%s/mapping%ju", g->name, (uintmax_t) i);
                if (r < 0) {
                        r = odd_addf(t, r, DEVICES "/%s/mapping%ju", g->name, (uintmax_t) i);
                        continue;
                }
                mapping[strcspn(mapping, ",")] = '\0';
                if (!is_nmem(mapping))
                        r = odd_addf(t, -EINVAL, DEVICES "/%s/mapping%ju", g->name, (uintmax_t) i);
                else
                        r = strings_add(&g->nmems, &g->n_nmems, &g->a_nmems, mapping);
        }
        return r;
}

/* Both kinds of region are called regionN, each on its bus; what they share are the addresses. */
static int find_cxl_region(const Topology *t, NdRegion *g) {
        for (size_t i = 0; i < t->n_regions; i++) {
                const Region *cxl = &t->regions[i];
                if (!streq_ptr(cxl->mode, "pmem") || cxl->size == 0 || cxl->start != g->start || cxl->size != g->size)
                        continue;
                g->cxl_region = strdup(cxl->name);
                return g->cxl_region ? 0 : -ENOMEM;
        }
        return 0;
}

static int read_region(Topology *t, NdRegion *g) {
        int r = device_parent(t, "nd", g->name, &g->bus);

        if (r >= 0)
                r = device_driver(t, "nd", g->name, &g->driver);
        if (r >= 0)
                r = required_u64f(t, &g->start, DEVICES "/%s/resource", g->name);
        if (r >= 0)
                r = required_u64f(t, &g->size, DEVICES "/%s/size", g->name);
        uint64_t end;
        if (r >= 0 && __builtin_add_overflow(g->start, g->size, &end)) {
                g->size = 0;
                r = odd_addf(t, -ERANGE, DEVICES "/%s/size", g->name);
        }
        if (r >= 0)
                r = read_mappings(t, g);
        return r < 0 ? r : find_cxl_region(t, g);
}

static int add_region(Topology *t, const char *name) {
        NdRegion *g = TOPOLOGY_ADD(t, nd_regions);
        if (!g)
                return -ENOMEM;

        g->name = strdup(name);
        return g->name ? read_region(t, g) : -ENOMEM;
}

static bool is_region(const char *name) {
        return is_numbered(name, "region");
}

/* A socket with a memory module is a slot that nobody can switch off: it ends with the module released. */
static int add_sockets(Topology *t) {
        for (size_t i = 0; i < t->n_nmems; i++) {
                if (t->nmems[i].memdev)
                        continue;
                Slot *s = TOPOLOGY_ADD(t, slots);
                if (!s)
                        return -ENOMEM;
                s->power = -1;
                s->name = strdup(t->nmems[i].name);
                s->word = strdup(t->nmems[i].name);
                s->nmem = strdup(t->nmems[i].name);
                if (!s->name || !s->word || !s->nmem)
                        return -ENOMEM;
        }
        return 0;
}

int load_nd(Topology *t) {
        static const DeviceKind nmems = { DEVICES, is_nmem, add_nmem, topology_drop_nmem };
        static const DeviceKind regions = { DEVICES, is_region, add_region, topology_drop_nd_region };

        int r = load_devices(t, &nmems);
        if (r >= 0)
                r = add_sockets(t);
        return r < 0 ? r : load_devices(t, &regions);
}
