/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "base/parse.h"
#include "kernel/sysfs/attr.h"
#include "kernel/sysfs/driver.h"
#include "topology/load/load.h"

#define DEVICES "/sys/bus/cxl/devices"

/* "mem12" is a memdev, "memory12" or "mem12.1" would not be. */
static bool is_memdev(const char *name) {
        return is_numbered(name, "mem");
}

static int read_optional(Topology *t, uint64_t *ret, const char *device, const char *attribute) {
        return optional_u64f(t, ret, DEVICES "/%s/%s", device, attribute);
}

static int read_required(Topology *t, uint64_t *ret, const char *device, const char *attribute) {
        return required_u64f(t, ret, DEVICES "/%s/%s", device, attribute);
}

static int read_optional_text(Topology *t, char **ret, const char *device, const char *attribute) {
        return optional_textf(t, ret, DEVICES "/%s/%s", device, attribute);
}

/* Not there is not 0. */
static int read_capacity(Topology *t, const Memdev *m, const char *attribute, uint64_t *ret, bool *ret_known) {
        _cleanup_free_ char *text = NULL;

        int r = read_optional_text(t, &text, m->name, attribute);
        if (r < 0 || !text)
                return r;
        r = parse_u64(text, ret);
        *ret_known = r >= 0;
        return r < 0 ? odd_addf(t, r, DEVICES "/%s/%s", m->name, attribute) : 0;
}

static int add_memdev(Topology *t, const char *name) {
        _cleanup_free_ char *parent = NULL, *node = NULL;
        bool has_domain = false;
        Memdev *m = TOPOLOGY_ADD(t, memdevs);
        if (!m)
                return -ENOMEM;
        m->node = -1;
        m->name = strdup(name);
        if (!m->name)
                return -ENOMEM;

        int r = device_parent(t, "cxl", m->name, &parent);
        if (r < 0)
                return r;
        if (parse_bdf(parent, &m->bdf, &has_domain) == -ENOMEM)
                return -ENOMEM;
        /* The kernel shows what the device says that it has (drivers/cxl/core/memdev.c:cxl_memdev_security_visible). */
        m->sanitizes = path_existsf(DEVICES "/%s/security/sanitize", m->name);
        m->erases = path_existsf(DEVICES "/%s/security/erase", m->name);
        r = device_driver(t, "cxl", m->name, &m->driver);
        if (r >= 0)
                r = read_optional(t, &m->serial, m->name, "serial");
        if (r >= 0)
                r = read_capacity(t, m, "ram/size", &m->ram_size, &m->ram_known);
        if (r >= 0)
                r = read_capacity(t, m, "pmem/size", &m->pmem_size, &m->pmem_known);
        m->keeps_data = !m->pmem_known || m->pmem_size > 0;
        if (r >= 0)
                r = read_optional_text(t, &node, m->name, "numa_node");
        if (r < 0 || !node)
                return r;
        r = parse_node(node, &m->node);
        return r < 0 ? odd_addf(t, r, DEVICES "/%s/numa_node", m->name) : 0;
}

/* What the card is asked for: nothing else is treated like memory (drivers/cxl/cxl.h:cxl_decoder_mode_name, and the partitions of
 * cards with dynamic capacity). */
static int read_mode(Topology *t, char **ret, const char *device, bool optional) {
        static const char *const words[] = { "ram", "pmem", "mixed", "none" };

        int r = read_optional_text(t, ret, device, "mode");
        if (r < 0 || (!*ret && optional))
                return r;
        if (*ret && startswith(*ret, "dynamic_ram"))
                return 0;
        for (size_t i = 0; i < ELEMENTSOF(words); i++)
                if (streq_ptr(*ret, words[i]))
                        return 0;
        return odd_addf(t, -EINVAL, DEVICES "/%s/mode", device);
}

/* The endpoint decoder of a target, decoderENDPOINT.INDEX. Its parent is the endpoint port, whose `uport` is the memdev
 * (drivers/cxl/core/port.c:cxl_port_alloc). */
static int read_decoder(Topology *t, const Region *g, RegionTarget *target) {
        _cleanup_free_ char *memdev = NULL;
        const char *dot = strchr(target->decoder, '.');
        uint64_t index;

        if (!dot || parse_u64(dot + 1, &index) < 0 || index > UINT32_MAX)
                return odd_addf(t, -EBADMSG, DEVICES "/%s/target%u", g->name, target->position);
        target->decoder_index = (unsigned) index;

        int r = link_namef(&memdev, DEVICES "/%s/../uport", target->decoder);
        if (r < 0) /* going away: the target says it is still one, so it is kept */
                return is_gone(r) ? 0 : odd_addf(t, r, DEVICES "/%s/../uport", target->decoder);
        if (is_memdev(memdev))
                target->memdev = TAKE_PTR(memdev);

        r = read_required(t, &target->dpa_start, target->decoder, "dpa_resource");
        if (r >= 0)
                r = read_required(t, &target->dpa_size, target->decoder, "dpa_size");
        uint64_t end;
        if (r >= 0 && (__builtin_add_overflow(target->dpa_start, target->dpa_size, &end) || (g->size > 0 && target->dpa_size > g->size)))
                r = odd_addf(t, -ERANGE, DEVICES "/%s/dpa_size", target->decoder);
        if (r >= 0)
                r = read_mode(t, &target->mode, target->decoder, false);
        return r;
}

/* One targetN for each way; an empty one is a target that has been taken away (or not set yet). */
static int read_targets(Topology *t, Region *g) {
        if (g->ways == 0)
                return 0;
        g->targets = calloc(g->ways, sizeof(RegionTarget));
        if (!g->targets)
                return -ENOMEM;

        for (unsigned i = 0; i < g->ways; i++) {
                _cleanup_free_ char *decoder = NULL;

                int r = attr_readf(&decoder, DEVICES "/%s/target%u", g->name, i);
                if (r < 0)
                        r = odd_addf(t, r, DEVICES "/%s/target%u", g->name, i);
                if (r < 0)
                        return r;
                if (!decoder || !*decoder)
                        continue;

                RegionTarget *target = &g->targets[g->n_targets++];
                target->position = i;
                target->decoder = TAKE_PTR(decoder);
                r = read_decoder(t, g, target);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int read_interleave(Topology *t, Region *g) {
        uint64_t ways, granularity;

        int r = read_required(t, &ways, g->name, "interleave_ways");
        if (r >= 0)
                r = read_required(t, &granularity, g->name, "interleave_granularity");
        if (r < 0)
                return r;
        /* The specification ends at 16 ways and 16 KiB; more is not a machine. */
        if (ways > 64 || granularity > UINT32_MAX)
                return odd_addf(t, -ERANGE, DEVICES "/%s/interleave_%s", g->name, ways > 64 ? "ways" : "granularity");
        g->ways = (unsigned) ways;
        g->granularity = (unsigned) granularity;
        return 0;
}

static int read_flags(Topology *t, Region *g) {
        uint64_t committed, locked;

        int r = read_required(t, &committed, g->name, "commit");
        if (r >= 0)
                r = read_optional(t, &locked, g->name, "locked");
        if (r >= 0)
                r = read_optional(t, &g->cache_size, g->name, "extended_linear_cache_size");
        if (r < 0)
                return r;
        g->committed = committed != 0;
        g->locked = locked != 0;
        return 0;
}

static int add_region(Topology *t, const char *name) {
        Region *g = TOPOLOGY_ADD(t, regions);
        if (!g)
                return -ENOMEM;
        g->name = strdup(name);
        if (!g->name)
                return -ENOMEM;

        int r = device_parent(t, "cxl", g->name, &g->root_decoder);
        if (r >= 0)
                r = device_driver(t, "cxl", g->name, &g->driver);
        if (r >= 0)
                r = read_required(t, &g->start, g->name, "resource");
        if (r >= 0)
                r = read_required(t, &g->size, g->name, "size");
        if (r >= 0)
                r = read_interleave(t, g);
        if (r >= 0)
                r = read_flags(t, g);
        if (r >= 0)
                r = read_mode(t, &g->mode, g->name, true);
        if (r >= 0)
                r = read_optional_text(t, &g->uuid, g->name, "uuid");
        /* The way back makes the region with it again. */
        if (r >= 0 && g->uuid && (strlen(g->uuid) != 36 || strspn(g->uuid, "0123456789abcdefABCDEF-") != 36))
                r = odd_addf(t, -EINVAL, DEVICES "/%s/uuid", g->name);
        if (r >= 0)
                r = read_targets(t, g);
        if (r < 0)
                return r;
        /* Kernels before 6.3 tell it of the decoders only. */
        if (!g->mode && g->n_targets > 0 && g->targets[0].mode && !(g->mode = strdup(g->targets[0].mode)))
                return -ENOMEM;

        /* Without addresses yet, `resource` reads -1 (drivers/cxl/core/region.c:resource_show). */
        uint64_t end;
        if (g->size == 0)
                g->start = 0;
        if (!__builtin_add_overflow(g->start, g->size, &end))
                return 0;
        g->size = 0;
        return odd_addf(t, -ERANGE, DEVICES "/%s/size", g->name);
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
