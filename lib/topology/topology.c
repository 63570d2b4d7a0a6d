/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "topology/load.h"

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
        free(d->driver);
        free(d->state);
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
                free(t->slots[i].address);
                free(t->slots[i].port);
                free(t->slots[i].service);
        }
        for (size_t i = 0; i < t->n_functions; i++) {
                free(t->functions[i].bdf);
                free(t->functions[i].slot);
                free(t->functions[i].driver);
        }
        for (size_t i = 0; i < t->n_foreign; i++) {
                free(t->foreign[i].bdf);
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
        free(t->memdevs);
        free(t->regions);
        free(t->daxes);
        free(t->blocks);
        free(t->nodes);
        free(t->auto_online);
        free(t);
}

int topology_load(Topology **ret) {
        static int (*const loaders[])(Topology *t) = {
                load_slots, load_functions, load_foreign, load_memdevs, load_regions, load_daxes, load_memory,
        };

        _cleanup_(topology_freep) Topology *t = calloc(1, sizeof(*t));
        if (!t)
                return -ENOMEM;

        for (size_t i = 0; i < ELEMENTSOF(loaders); i++) {
                int r = loaders[i](t);
                if (r < 0)
                        return r;
        }

        *ret = TAKE_PTR(t);
        return 0;
}

/* Finds the item of an array whose member, a string, is this name. */
static const void *find(const void *items, size_t n, size_t size, size_t member, const char *name) {
        for (size_t i = 0; name && i < n; i++) {
                const char *item = (const char *) items + i * size;
                if (streq_ptr(*(char *const *) (const void *) (item + member), name))
                        return item;
        }
        return NULL;
}

#define FIND(items, n, type, member, name) find(items, n, sizeof(type), offsetof(type, member), name)

const Slot *topology_slot(const Topology *t, const char *name) {
        return FIND(t->slots, t->n_slots, Slot, name, name);
}

const Slot *topology_slot_of_port(const Topology *t, const char *port) {
        return FIND(t->slots, t->n_slots, Slot, port, port);
}

const PciFunction *topology_function(const Topology *t, const char *bdf) {
        return FIND(t->functions, t->n_functions, PciFunction, bdf, bdf);
}

const Slot *topology_slot_of_function(const Topology *t, const char *bdf) {
        const PciFunction *f = topology_function(t, bdf);

        return f ? topology_slot(t, f->slot) : NULL;
}

const Memdev *topology_memdev(const Topology *t, const char *name) {
        return FIND(t->memdevs, t->n_memdevs, Memdev, name, name);
}

const Region *topology_region(const Topology *t, const char *name) {
        return FIND(t->regions, t->n_regions, Region, name, name);
}

const DaxDevice *topology_dax(const Topology *t, const char *name) {
        return FIND(t->daxes, t->n_daxes, DaxDevice, name, name);
}

const Node *topology_node(const Topology *t, int id) {
        for (size_t i = 0; i < t->n_nodes; i++)
                if (t->nodes[i].id == id)
                        return &t->nodes[i];
        return NULL;
}

bool region_uses_memdev(const Region *r, const char *memdev) {
        for (size_t i = 0; memdev && i < r->n_targets; i++)
                if (streq_ptr(r->targets[i].memdev, memdev))
                        return true;
        return false;
}
