/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A topology is made and freed, all of it. */
#include <errno.h>

#include "topology/load/load.h"

/* All of the storage side, with its arrays. */
static void topology_drop_storage(Topology *t) {
        while (t->n_nmems > 0)
                topology_drop_nmem(t);
        while (t->n_nd_regions > 0)
                topology_drop_nd_region(t);
        while (t->n_namespaces > 0)
                topology_drop_namespace(t);
        while (t->n_block_devices > 0)
                topology_drop_block_device(t);
        while (t->n_file_systems > 0)
                topology_drop_file_system(t);
        while (t->n_mounts > 0) {
                Mount *m = &t->mounts[--t->n_mounts];
                free(m->ns_path);
                free(m->root);
                free(m->target);
                free(m->options);
                free(m->propagation);
                free(m->type);
                free(m->source);
                free(m->super_options);
        }
        for (size_t i = 0; i < t->n_swaps; i++)
                free(t->swaps[i].path);
        free(t->nmems);
        free(t->nd_regions);
        free(t->namespaces);
        free(t->block_devices);
        free(t->file_systems);
        free(t->mounts);
        topology_drop_index(t);
        for (size_t i = 0; i < t->n_uses; i++) {
                kernel_user_done(&t->uses[i].user);
                free(t->uses[i].block);
                free(t->uses[i].bdf);
        }
        free(t->uses);
        free(t->swaps);
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

int topology_load_slots(Topology **ret) {
        _cleanup_(topology_freep) Topology *t = calloc(1, sizeof(*t));
        if (!t)
                return -ENOMEM;

        int r = load_slots(t);
        if (r >= 0)
                r = load_outer_slots(t);
        if (r >= 0)
                *ret = TAKE_PTR(t);
        return r;
}
