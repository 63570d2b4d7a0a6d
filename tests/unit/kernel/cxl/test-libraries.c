/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Runs on a recorded machine: what we read of /sys ourselves (topology/load/load.h says why) is what libcxl and libdaxctl say. */
#include <cxl/libcxl.h>
#include <daxctl/libdaxctl.h>

#include "tests/unit/test.h"
#include "topology/topology.h"

static void cxl_unrefp(struct cxl_ctx **c) {
        cxl_unref(*c);
}

static void daxctl_unrefp(struct daxctl_ctx **c) {
        daxctl_unref(*c);
}

static void check_memdevs(const Topology *t, struct cxl_ctx *ctx) {
        struct cxl_memdev *theirs;
        size_t n = 0;

        cxl_memdev_foreach(ctx, theirs) {
                const Memdev *m = topology_memdev(t, cxl_memdev_get_devname(theirs));
                CHECK(m);
                CHECK_STR(m->bdf, cxl_memdev_get_host(theirs));
                CHECK_INT(m->serial, cxl_memdev_get_serial(theirs));
                CHECK_INT(m->ram_size, cxl_memdev_get_ram_size(theirs));
                CHECK_INT(m->pmem_size, cxl_memdev_get_pmem_size(theirs));
                CHECK_INT(m->node, cxl_memdev_get_numa_node(theirs));
                n++;
        }
        CHECK_INT(n, t->n_memdevs);
}

static const RegionTarget *target_at(const Region *g, unsigned position) {
        for (size_t i = 0; i < g->n_targets; i++)
                if (g->targets[i].position == position)
                        return &g->targets[i];
        return NULL;
}

static void check_targets(const Region *g, struct cxl_region *theirs) {
        struct cxl_memdev_mapping *mapping;
        size_t n = 0;

        cxl_mapping_foreach(theirs, mapping) {
                struct cxl_decoder *decoder = cxl_mapping_get_decoder(mapping);
                const RegionTarget *target = target_at(g, cxl_mapping_get_position(mapping));
                CHECK(target);
                CHECK_STR(target->decoder, cxl_decoder_get_devname(decoder));
                CHECK_INT(target->decoder_index, cxl_decoder_get_id(decoder));
                CHECK_STR(target->memdev, cxl_memdev_get_devname(cxl_decoder_get_memdev(decoder)));
                CHECK_INT(target->dpa_start, cxl_decoder_get_dpa_resource(decoder));
                CHECK_INT(target->dpa_size, cxl_decoder_get_dpa_size(decoder));
                CHECK_STR(target->mode, cxl_decoder_mode_name(cxl_decoder_get_mode(decoder)));
                n++;
        }
        CHECK_INT(n, g->n_targets);
}

static void check_region(const Topology *t, struct cxl_decoder *root, struct cxl_region *theirs) {
        const Region *g = topology_region(t, cxl_region_get_devname(theirs));

        CHECK(g);
        CHECK_STR(g->root_decoder, cxl_decoder_get_devname(root));
        CHECK_INT(g->start, cxl_region_get_resource(theirs));
        CHECK_INT(g->size, cxl_region_get_size(theirs));
        CHECK_INT(g->ways, cxl_region_get_interleave_ways(theirs));
        CHECK_INT(g->granularity, cxl_region_get_interleave_granularity(theirs));
        CHECK_INT(g->committed, cxl_region_decode_is_committed(theirs));
        CHECK_INT(g->driver != NULL, cxl_region_is_enabled(theirs));
        check_targets(g, theirs);
}

static void check_regions(const Topology *t, struct cxl_ctx *ctx) {
        struct cxl_bus *bus;
        size_t n = 0;

        cxl_bus_foreach(ctx, bus) {
                struct cxl_decoder *root;
                cxl_decoder_foreach(cxl_bus_get_port(bus), root) {
                        struct cxl_region *theirs;
                        cxl_region_foreach(root, theirs) {
                                check_region(t, root, theirs);
                                n++;
                        }
                }
        }
        CHECK_INT(n, t->n_regions);
}

static void check_daxes(const Topology *t, struct daxctl_ctx *ctx) {
        struct daxctl_region *region;
        size_t n = 0;

        daxctl_region_foreach(ctx, region) {
                struct daxctl_dev *theirs;
                daxctl_dev_foreach(region, theirs) {
                        const DaxDevice *d = topology_dax(t, daxctl_dev_get_devname(theirs));
                        CHECK(d);
                        CHECK_INT(d->start, daxctl_dev_get_resource(theirs));
                        CHECK_INT(d->size, daxctl_dev_get_size(theirs));
                        CHECK_INT(d->target_node, daxctl_dev_get_target_node(theirs));
                        CHECK_INT(d->driver != NULL, daxctl_dev_is_enabled(theirs));
                        n++;
                }
        }
        CHECK_INT(n, t->n_daxes);
}

int main(void) {
        _cleanup_(topology_freep) Topology *t = NULL;
        _cleanup_(cxl_unrefp) struct cxl_ctx *cxl = NULL;
        _cleanup_(daxctl_unrefp) struct daxctl_ctx *daxctl = NULL;

        CHECK_INT(topology_load(&t), 0);
        CHECK_INT(cxl_new(&cxl), 0);
        CHECK_INT(daxctl_new(&daxctl), 0);
        check_memdevs(t, cxl);
        check_regions(t, cxl);
        check_daxes(t, daxctl);
        return EXIT_SUCCESS;
}
