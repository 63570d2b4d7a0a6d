/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Following the names. */
#include "topology/topology.h"

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

bool topology_slot_is_within(const Topology *t, const char *slot, const Slot *outer) {
        const Slot *s = topology_slot(t, slot);

        for (size_t depth = 0; s && depth <= t->n_slots; depth++) {
                if (s == outer)
                        return true;
                s = topology_slot(t, s->outer);
        }
        return false;
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

const Nmem *topology_nmem(const Topology *t, const char *name) {
        return FIND(t->nmems, t->n_nmems, Nmem, name, name);
}

const NdRegion *topology_nd_region(const Topology *t, const char *name) {
        return FIND(t->nd_regions, t->n_nd_regions, NdRegion, name, name);
}

const Namespace *topology_namespace(const Topology *t, const char *name) {
        return FIND(t->namespaces, t->n_namespaces, Namespace, name, name);
}

const BlockDevice *topology_block_device(const Topology *t, const char *name) {
        return FIND(t->block_devices, t->n_block_devices, BlockDevice, name, name);
}

const BlockDevice *topology_block_device_at(const Topology *t, dev_t dev) {
        for (size_t i = 0; dev != 0 && i < t->n_block_devices; i++)
                if (t->block_devices[i].dev == dev)
                        return &t->block_devices[i];
        return NULL;
}

bool nd_region_uses_nmem(const NdRegion *r, const char *nmem) {
        for (size_t i = 0; nmem && i < r->n_nmems; i++)
                if (streq(r->nmems[i], nmem))
                        return true;
        return false;
}
