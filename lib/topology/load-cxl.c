/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "base/parse.h"
#include "kernel/attr.h"
#include "kernel/driver.h"
#include "topology/load.h"

#define DEVICES "/sys/bus/cxl/devices"

/* "mem12" is a memdev, "memory12" or "mem12.1" would not be. */
static bool is_memdev(const char *name) {
        return is_numbered(name, "mem");
}

static int read_optional(uint64_t *ret, const char *device, const char *attribute) {
        return optional_u64f(ret, DEVICES "/%s/%s", device, attribute);
}

static int read_optional_text(char **ret, const char *device, const char *attribute) {
        return optional_textf(ret, DEVICES "/%s/%s", device, attribute);
}

static int read_memdev(Memdev *m) {
        _cleanup_free_ char *path = NULL, *node = NULL, *parent = NULL;
        bool has_domain = false;

        int r = link_readf(&path, DEVICES "/%s", m->name);
        if (r < 0)
                return r;
        parent = ancestor(path, 1);
        if (parent && parse_bdf(parent, &m->bdf, &has_domain) == -ENOMEM)
                return -ENOMEM;

        r = driver_of("cxl", m->name, &m->driver);
        if (r >= 0)
                r = read_optional(&m->serial, m->name, "serial");
        if (r >= 0)
                r = read_optional(&m->ram_size, m->name, "ram/size");
        if (r >= 0)
                r = read_optional(&m->pmem_size, m->name, "pmem/size");
        if (r >= 0)
                r = read_optional_text(&node, m->name, "numa_node");
        if (r < 0)
                return r;
        return node ? parse_node(node, &m->node) : 0;
}

static int add_memdev(Topology *t, const char *name) {
        Memdev *m = TOPOLOGY_ADD(t, memdevs);
        if (!m)
                return -ENOMEM;

        m->node = -1;
        m->name = strdup(name);
        return m->name ? read_memdev(m) : -ENOMEM;
}

/* The endpoint decoder of a target, decoderENDPOINT.INDEX. Its parent is the endpoint port, whose `uport` is the memdev
 * (drivers/cxl/core/port.c:cxl_port_alloc). */
static int read_decoder(RegionTarget *target) {
        _cleanup_free_ char *memdev = NULL;
        const char *dot = strchr(target->decoder, '.');
        uint64_t index;

        if (!dot || parse_u64(dot + 1, &index) < 0 || index > UINT32_MAX)
                return -EBADMSG;
        target->decoder_index = (unsigned) index;

        int r = link_namef(&memdev, DEVICES "/%s/../uport", target->decoder);
        if (r < 0) /* going away: the target says it is still one, so it is kept */
                return is_gone(r) ? 0 : r;
        if (is_memdev(memdev))
                target->memdev = TAKE_PTR(memdev);

        r = read_optional(&target->dpa_start, target->decoder, "dpa_resource");
        if (r >= 0)
                r = read_optional(&target->dpa_size, target->decoder, "dpa_size");
        if (r >= 0)
                r = read_optional_text(&target->mode, target->decoder, "mode");
        return r;
}

/* One targetN for each way; an empty one is a target that has been taken away (or not set yet). */
static int read_targets(Region *g) {
        if (g->ways == 0)
                return 0;
        g->targets = calloc(g->ways, sizeof(RegionTarget));
        if (!g->targets)
                return -ENOMEM;

        for (unsigned i = 0; i < g->ways; i++) {
                _cleanup_free_ char *decoder = NULL;

                int r = attr_readf(&decoder, DEVICES "/%s/target%u", g->name, i);
                if (r < 0)
                        return r;
                if (!*decoder)
                        continue;

                RegionTarget *target = &g->targets[g->n_targets++];
                target->position = i;
                target->decoder = TAKE_PTR(decoder);
                r = read_decoder(target);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int read_interleave(Region *g) {
        uint64_t ways, granularity;

        int r = read_optional(&ways, g->name, "interleave_ways");
        if (r >= 0)
                r = read_optional(&granularity, g->name, "interleave_granularity");
        if (r < 0)
                return r;
        /* The specification ends at 16 ways and 16 KiB; more is not a machine. */
        if (ways > 64 || granularity > UINT32_MAX)
                return -EBADMSG;
        g->ways = (unsigned) ways;
        g->granularity = (unsigned) granularity;
        return 0;
}

static int read_flags(Region *g) {
        uint64_t committed, locked;

        int r = read_optional(&committed, g->name, "commit");
        if (r >= 0)
                r = read_optional(&locked, g->name, "locked");
        if (r < 0)
                return r;
        g->committed = committed != 0;
        g->locked = locked != 0;
        return 0;
}

static int read_region(Region *g) {
        _cleanup_free_ char *path = NULL;

        int r = link_readf(&path, DEVICES "/%s", g->name);
        if (r < 0)
                return r;
        g->root_decoder = ancestor(path, 1);
        if (!g->root_decoder)
                return -EBADMSG;

        r = driver_of("cxl", g->name, &g->driver);
        if (r >= 0)
                r = read_optional(&g->start, g->name, "resource");
        if (r >= 0)
                r = read_optional(&g->size, g->name, "size");
        if (r >= 0)
                r = read_interleave(g);
        if (r >= 0)
                r = read_flags(g);
        if (r >= 0)
                r = read_optional_text(&g->mode, g->name, "mode");
        if (r >= 0)
                r = read_optional_text(&g->uuid, g->name, "uuid");
        if (r >= 0)
                r = read_targets(g);
        if (r < 0)
                return r;

        /* Without addresses yet, `resource` reads -1 (drivers/cxl/core/region.c:resource_show). */
        if (g->size == 0)
                g->start = 0;
        return 0;
}

static int add_region(Topology *t, const char *name) {
        Region *g = TOPOLOGY_ADD(t, regions);
        if (!g)
                return -ENOMEM;

        g->name = strdup(name);
        return g->name ? read_region(g) : -ENOMEM;
}

static bool is_region(const char *name) {
        return is_numbered(name, "region");
}

int load_memdevs(Topology *t) {
        static const DeviceKind kind = { DEVICES, is_memdev, add_memdev, topology_drop_memdev };

        return load_devices(t, &kind);
}

int load_regions(Topology *t) {
        static const DeviceKind kind = { DEVICES, is_region, add_region, topology_drop_region };

        return load_devices(t, &kind);
}
