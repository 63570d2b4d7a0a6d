/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* NVDIMMs and the regions over them, of whatever bus: the firmware's (NFIT) or the one that CXL makes for persistent cards. */
#include <errno.h>

#include "base/parse.h"
#include "kernel/sysfs/attr.h"
#include "kernel/sysfs/driver.h"
#include "kernel/sysfs/listing.h"
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
        if (!n->memdev)
                return -ENOMEM;
        /* Whatever the card says of its size: somebody has made a memory module of it. */
        for (size_t i = 0; i < t->n_memdevs; i++)
                if (streq(t->memdevs[i].name, n->memdev))
                        t->memdevs[i].keeps_data = true;
        return 0;
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

static int add_nmem(Topology *t, const char *name) {
        Nmem *n = TOPOLOGY_ADD(t, nmems);
        if (!n)
                return -ENOMEM;
        n->name = strdup(name);
        if (!n->name)
                return -ENOMEM;

        int r = device_parent(t, "nd", n->name, &n->bus);
        if (r >= 0)
                r = read_memdev(t, n);
        n->has_security = path_existsf(DEVICES "/%s/security", n->name);
        return r < 0 ? r : read_id(t, n);
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

static int add_region(Topology *t, const char *name) {
        NdRegion *g = TOPOLOGY_ADD(t, nd_regions);
        if (!g)
                return -ENOMEM;
        g->name = strdup(name);
        if (!g->name)
                return -ENOMEM;

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
        if (r < 0)
                return r;
        /* Both kinds of region are called regionN, each on its bus; what they share are the addresses. */
        for (size_t i = 0; i < t->n_regions; i++) {
                const Region *cxl = &t->regions[i];
                if (!streq_ptr(cxl->mode, "pmem") || cxl->size == 0 || cxl->start != g->start || cxl->size != g->size)
                        continue;
                g->cxl_region = strdup(cxl->name);
                return g->cxl_region ? 0 : -ENOMEM;
        }
        return r;
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

/* Namespaces of persistent memory. A namespace is driven itself (raw) or claimed by a device that gives it its mode: pfnN.N
 * (fsdax), daxN.N of the nd bus (devdax), bttN.N (sector); then that device has the driver. */

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

static int add_namespace(Topology *t, const char *name) {
        size_t n_odd = t->n_odd;
        Namespace *n = TOPOLOGY_ADD(t, namespaces);
        if (!n)
                return -ENOMEM;
        n->name = strdup(name);
        if (!n->name)
                return -ENOMEM;

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
        if (r >= 0)
                r = read_dax(t, n);
        /* Each region keeps one that is nothing yet, for the next to be made of. */
        return r >= 0 && n->size == 0 && !n->driver && t->n_odd == n_odd ? DEVICE_IS_NOTHING : r;
}

static bool is_namespace(const char *name) {
        return startswith(name, "namespace");
}

int load_namespaces(Topology *t) {
        static const DeviceKind kind = { DEVICES, is_namespace, add_namespace, topology_drop_namespace };

        return load_devices(t, &kind);
}
