/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "topology/load/load.h"

static void memdev_done(Memdev *m) {
        free(m->name);
        free(m->bdf);
        free(m->driver);
}

static void region_done(Region *g) {
        for (size_t i = 0; i < g->n_targets; i++) {
                free(g->targets[i].decoder);
                free(g->targets[i].memdev);
                free(g->targets[i].mode);
        }
        free(g->targets);
        free(g->name);
        free(g->root_decoder);
        free(g->driver);
        free(g->mode);
        free(g->uuid);
}

static void dax_done(DaxDevice *d) {
        free(d->name);
        free(d->region);
        free(d->nd_region);
        free(d->driver);
        free(d->state);
}

static const char *const block_kind_table[_BLOCK_KIND_MAX] = {
        [BLOCK_DISK] = "disk",
        [BLOCK_PARTITION] = "partition",
        [BLOCK_DM] = "dm",
        [BLOCK_MD] = "md",
        [BLOCK_LOOP] = "loop",
};

DEFINE_STRING_TABLE(block_kind, BlockKind)

void topology_drop_function(Topology *t) {
        PciFunction *f = &t->functions[--t->n_functions];

        free(f->bdf);
        free(f->slot);
        free(f->driver);
        free(f->serial);
        free(f->path);
        free(f->resources);
}

void topology_drop_memdev(Topology *t) {
        memdev_done(&t->memdevs[--t->n_memdevs]);
}

void topology_drop_region(Topology *t) {
        region_done(&t->regions[--t->n_regions]);
}

void topology_drop_dax(Topology *t) {
        dax_done(&t->daxes[--t->n_daxes]);
}

static void free_pci(Topology *t) {
        for (size_t i = 0; i < t->n_slots; i++) {
                free(t->slots[i].name);
                free(t->slots[i].word);
                free(t->slots[i].address);
                free(t->slots[i].port);
                free(t->slots[i].service);
                free(t->slots[i].outer);
                free(t->slots[i].nmem);
        }
        while (t->n_functions > 0)
                topology_drop_function(t);
        for (size_t i = 0; i < t->n_foreign; i++) {
                free(t->foreign[i].bdf);
                free(t->foreign[i].region);
                free(t->foreign[i].driver);
                free(t->foreign[i].subsystem);
                free(t->foreign[i].name);
        }
        free(t->slots);
        free(t->functions);
        free(t->foreign);
}

void topology_free(Topology *t) {
        if (!t)
                return;
        free_pci(t);
        while (t->n_memdevs > 0)
                topology_drop_memdev(t);
        while (t->n_regions > 0)
                topology_drop_region(t);
        while (t->n_daxes > 0)
                topology_drop_dax(t);
        topology_drop_addresses(t);
        topology_drop_storage(t);
        free(t->memdevs);
        free(t->regions);
        free(t->daxes);
        free(t->blocks);
        free(t->nodes);
        odd_drop(t, 0);
        free(t->odd);
        free(t->left_out);
        free(t->auto_online);
        free(t);
}

int topology_load(Topology **ret) {
        static int (*const loaders[])(Topology *t) = {
                load_slots, load_functions, load_memdevs, load_regions, load_decoders, load_daxes, load_nd, load_namespaces,
                load_block_devices, load_nvme_paths, load_mappings, load_mounts, load_file_systems, load_loops, load_swaps, load_kernel_users,
                load_foreign, load_memory, load_iomem,
        };

        _cleanup_(topology_freep) Topology *t = calloc(1, sizeof(*t));
        if (!t)
                return -ENOMEM;

        for (size_t i = 0; i < ELEMENTSOF(loaders); i++) {
                int r = loaders[i](t);
                if (r >= 0)
                        r = topology_index_names(t);
                if (r < 0)
                        return r;
        }

        *ret = TAKE_PTR(t);
        return 0;
}
