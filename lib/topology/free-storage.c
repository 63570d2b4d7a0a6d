/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The storage side's part of topology_free(). */
#include "topology/load/load.h"

static void free_strings(char **strings, size_t n) {
        for (size_t i = 0; i < n; i++)
                free(strings[i]);
        free(strings);
}

void topology_drop_nmem(Topology *t) {
        Nmem *n = &t->nmems[--t->n_nmems];

        free(n->name);
        free(n->bus);
        free(n->memdev);
        free(n->id);
}

void topology_drop_nd_region(Topology *t) {
        NdRegion *g = &t->nd_regions[--t->n_nd_regions];

        free(g->name);
        free(g->bus);
        free(g->cxl_region);
        free(g->driver);
        free_strings(g->nmems, g->n_nmems);
}

void topology_drop_namespace(Topology *t) {
        Namespace *n = &t->namespaces[--t->n_namespaces];

        free(n->name);
        free(n->nd_region);
        free(n->mode);
        free(n->uuid);
        free(n->device);
        free(n->driver);
        free(n->block);
        free(n->dax);
}

void topology_drop_block_device(Topology *t) {
        BlockDevice *b = &t->block_devices[--t->n_block_devices];

        free(b->name);
        free(b->bdf);
        free(b->disk);
        free(b->label);
        free(b->uuid);
        free_strings(b->lower, b->n_lower);
        md_array_free(b->array);
        free_strings(b->targets, b->n_targets);
        free(b->trouble);
}

void topology_drop_file_system(Topology *t) {
        FileSystem *fs = &t->file_systems[--t->n_file_systems];

        free(fs->type);
        free_strings(fs->devices, fs->n_devices);
        free(fs->layers);
}

static void drop_mount(Topology *t) {
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

void topology_drop_storage(Topology *t) {
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
        while (t->n_mounts > 0)
                drop_mount(t);
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
