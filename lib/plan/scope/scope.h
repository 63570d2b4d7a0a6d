/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "plan/plan.h"
#include "topology/topology.h"

/* Physical addresses that lead to the card. */
typedef struct ScopeRange {
        uint64_t start, size;
        char *why;              /* who says so: "region0", "decoder3.0", "dax0.0", "0000:0d:00.0 BAR 0", "virtio3" */
        bool goes_with_power;   /* its function has a claim on it for as long as it is there */
} ScopeRange;

/* What goes when the card in a slot goes, found by following the names in the topology: its functions and memdevs, every
 * region that has one of them as a target, the other cards of those regions, and what stands on the regions. Arrays of
 * pointers into the topology. */
typedef struct Scope {
        const Topology *t;
        const Slot *slot;
        const Slot **others;            size_t n_others, a_others;      /* more slots whose cards go in the same removal */
        char *words;                    /* the slots as a command names them: "2", "2 3" */
        const Slot **inner;             size_t n_inner, a_inner;        /* slots inside of it: their cards go with this one */
        const PciFunction **functions;  size_t n_functions, a_functions;
        const Memdev **memdevs;         size_t n_memdevs, a_memdevs;
        const Region **regions;         size_t n_regions, a_regions;    /* highest address first: decoders are reset last in, first out */
        const DaxDevice **daxes;        size_t n_daxes, a_daxes;
        const Memdev **peers;           size_t n_peers, a_peers;        /* memdevs of other cards that lose a region */
        const Node **nodes;             size_t n_nodes, a_nodes;        /* nodes that lose memory */
        const Nmem **nmems;             size_t n_nmems, a_nmems;        /* the card's */
        const Nmem **nmem_peers;        size_t n_nmem_peers, a_nmem_peers; /* modules in other sockets that lose a region */
        const NdRegion **nd_regions;    size_t n_nd_regions, a_nd_regions; /* highest address first */
        const Namespace **namespaces;   size_t n_namespaces, a_namespaces;
        const BlockDevice **blocks;     size_t n_blocks, a_blocks;      /* that go with the card, and what stands on those; a device
                                                                         * comes before what it stands on. A redundant md that only has
                                                                         * a member on the card stays, and so does all on top of it */
        const Mount **mounts;           size_t n_mounts, a_mounts;      /* of file systems on those, overlays on them included; in the order
                                                                         * in which they can be unmounted, all of one file system together */
        bool *mount_goes;               /* of each of the topology's, whether it is one of those; NULL: none is */
        const Swap **swaps;             size_t n_swaps, a_swaps;
        ScopeRange *ranges;             size_t n_ranges, a_ranges;      /* none twice; regions first */
        bool is_memory;                 /* it carries memory, whether or not anything is known of where that is */
        bool has_virtio_mem;
} Scope;

void scope_done(Scope *s);
/* Of the card in a slot of this topology, which must outlive it. -ENOMEM. */
int scope_find(const Topology *t, const Slot *slot, Scope *ret);

/* Of the cards in `slot` and in n other slots, none twice and none inside of another: what only all of them together take away goes too
 * (a mirror with a leg on each). -ENOMEM. */
int scope_find_all(const Topology *t, const Slot *slot, const Slot *const *others, size_t n, Scope *ret);

/* The slots of the removal, the first one is `slot`. */
static inline size_t scope_n_slots(const Scope *s) {
        return 1 + s->n_others;
}

static inline const Slot *scope_slot(const Scope *s, size_t i) {
        return i == 0 ? s->slot : s->others[i - 1];
}

/* The one of them that a function is below, whatever slots lie between; NULL: none. */
const Slot *scope_slot_of(const Scope *s, const PciFunction *f);

/* scope-part.c. What of a scope of several cards is gone once slot i has no power: all but what stands on the others alone. -ENOMEM. */
int scope_part(const Scope *s, size_t i, Scope *ret);

/* Nothing sits in the slot. */
bool scope_is_empty(const Scope *s);

/* Does the whole block lie in the scope's ranges? The same answer as kernel/memory/memory-block.h gives to steps and probes. */
bool scope_has_block(const Scope *s, const Topology *t, const MemoryBlock *b);

/* The first range that has an address in common with [start, start+size); NULL: none. */
const ScopeRange *scope_range_at(const Scope *s, uint64_t start, uint64_t size);

/* May memory that no range of the scope tells of be on one of its cards? */
bool scope_may_have(const Scope *s, const Topology *t, uint64_t start, uint64_t size);

/* Is it one of a file system that goes? And does it go with its namespace, whose root is on one (scope-storage.c)? */
bool scope_has_mount(const Scope *s, const Topology *t, const Mount *m);
bool scope_mount_ends(const Scope *s, const Topology *t, const Mount *m);

/* For the document: "card", "takes_down"; and the scope that probes are asked about. New references. */
json_object *scope_card_json(const Scope *s);
json_object *scope_slots_json(const Scope *s); /* of several slots: scope_slot_json() of each, with its "card"; NULL for one */
json_object *scope_takes_down_json(const Scope *s, const Topology *t);
json_object *scope_probe_json(const Scope *s, const Topology *t);
json_object *scope_seen_json(const Scope *s, const Topology *t); /* the same without a look at who refers to what is gone already, which takes time; */
void scope_add_gone_before(json_object *o, const Scope *s, const Topology *t); /* and that look */
json_object *scope_ranges_json(const Scope *s); /* [{"start", "size", "why", "goes_with_power"}] */
json_object *scope_witness_json(const Scope *s, const Topology *t); /* what we see of all cards, and which are of the scope: kernel/cxl/testimony.h */
json_object *scope_card_question(const Scope *s); /* for kernel/cxl/card-state.h; NULL where nothing of it has a node to be asked through */
json_object *scope_slot_json(const Slot *slot);
json_object *scope_inner_json(const Scope *s); /* the slots inside, as probes and people know them */
json_object *region_step_json(const Region *r); /* as kernel/cxl/cxl-region.h wants it; NULL for none */
json_object *dax_ranges_json(const DaxDevice *d); /* [{"start", "size"}], in the order of the device */
json_object *dax_region_json(const Topology *t, const DaxDevice *d); /* of a device without a region the addresses alone */

#define SCOPE_ADD(s, field, item)                                                                               \
        ({                                                                                                      \
                int _r = vec_grow((void **) &(s)->field, (s)->n_##field, &(s)->a_##field, sizeof(*(s)->field)); \
                if (_r >= 0)                                                                                    \
                        (s)->field[(s)->n_##field++] = (item);                                                  \
                _r;                                                                                             \
        })

/* Is this thing of the topology one of the scope's? */
#define SCOPE_HAS(s, field, item)                                                                               \
        ({                                                                                                      \
                const typeof(**(s)->field) *_item = (item);                                                     \
                bool _found = false;                                                                            \
                for (size_t _i = 0; _i < (s)->n_##field && !_found; _i++)                                       \
                        _found = (s)->field[_i] == _item;                                                       \
                _found;                                                                                         \
        })

/* The one of them that has this name; NULL: none, or no name. */
#define SCOPE_NAMED(s, field, called)                                                                           \
        ({                                                                                                      \
                const char *_name = (called);                                                                   \
                typeof(*(s)->field) _found = NULL;                                                              \
                for (size_t _i = 0; _name && _i < (s)->n_##field && !_found; _i++)                              \
                        if (streq((s)->field[_i]->name, _name))                                                 \
                                _found = (s)->field[_i];                                                        \
                _found;                                                                                         \
        })

static inline bool scope_has_memdev(const Scope *s, const char *name) {
        return SCOPE_NAMED(s, memdevs, name);
}

static inline bool scope_has_block_device(const Scope *s, const char *name) {
        return SCOPE_NAMED(s, blocks, name);
}

static inline bool scope_has_function(const Scope *s, const char *bdf) {
        for (size_t i = 0; i < s->n_functions; i++)
                if (streq_ptr(s->functions[i]->bdf, bdf))
                        return true;
        return false;
}

/* scope-storage.c, for scope_find() alone: what stands on the card and stores. */
int scope_find_storage(const Topology *t, Scope *s);
