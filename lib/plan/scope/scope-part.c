/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A removal of several cards has one scope, and a proof and a light for each slot. What a slot is asked about is what its power takes
 * along, and what stood on all of them together: a mirror with a leg on each is gone before any of them is. What stands on the
 * other cards alone is theirs, and may be there still: a disk is, until its own slot has no power. */
#include <errno.h>

#include "base/pointer-set.h"
#include "plan/scope/scope.h"

/* Those of `all` that are in `own`, or not in `theirs`. */
static int keep(const void **all, size_t n, const void *const *own, size_t n_own, const void *const *theirs, size_t n_theirs, const void ***ret,
                size_t *ret_n) {
        _cleanup_(pointer_set_done) PointerSet ours = { 0 }, others = { 0 };
        _cleanup_free_ const void **kept = calloc(n + 1, sizeof(void *));
        size_t n_kept = 0;

        int r = kept ? pointer_set_make(own, n_own, &ours) : -ENOMEM;
        if (r >= 0)
                r = pointer_set_make(theirs, n_theirs, &others);
        if (r < 0)
                return r;
        for (size_t i = 0; i < n; i++)
                if (pointer_set_has(&ours, all[i]) || !pointer_set_has(&others, all[i]))
                        kept[n_kept++] = all[i];
        *ret = TAKE_PTR(kept);
        *ret_n = n_kept;
        return 0;
}

#define KEEP(part, all, own, theirs, field)                                                                             \
        keep((const void **) (all)->field, (all)->n_##field, (const void *const *) (own)->field, (own)->n_##field,      \
             (const void *const *) (theirs)->field, (theirs)->n_##field, (const void ***) &(part)->field, &(part)->n_##field)

static bool has_range(const Scope *s, const ScopeRange *r) {
        for (size_t i = 0; i < s->n_ranges; i++)
                if (s->ranges[i].start == r->start && s->ranges[i].size == r->size)
                        return true;
        return false;
}

static int copy_range(Scope *part, const ScopeRange *r) {
        char *why = strdup(r->why);

        if (!why)
                return -ENOMEM;
        part->ranges[part->n_ranges] = *r;
        part->ranges[part->n_ranges++].why = why;
        return 0;
}

/* A range within a larger one is not told twice in a scope, so the slot's own are taken from its own. */
static int keep_ranges(Scope *part, const Scope *all, const Scope *own, const Scope *theirs) {
        int r = 0;

        part->ranges = calloc(own->n_ranges + all->n_ranges + 1, sizeof(ScopeRange));
        if (!part->ranges)
                return -ENOMEM;
        for (size_t i = 0; i < own->n_ranges && r >= 0; i++)
                r = copy_range(part, &own->ranges[i]);
        for (size_t i = 0; i < all->n_ranges && r >= 0; i++)
                if (!has_range(own, &all->ranges[i]) && !has_range(theirs, &all->ranges[i]))
                        r = copy_range(part, &all->ranges[i]);
        return r;
}

static int keep_all(Scope *part, const Scope *all, const Scope *own, const Scope *theirs) {
        int r = KEEP(part, all, own, theirs, inner);

        if (r >= 0)
                r = KEEP(part, all, own, theirs, functions);
        if (r >= 0)
                r = KEEP(part, all, own, theirs, memdevs);
        if (r >= 0)
                r = KEEP(part, all, own, theirs, regions);
        if (r >= 0)
                r = KEEP(part, all, own, theirs, daxes);
        if (r >= 0)
                r = KEEP(part, all, own, theirs, nodes);
        if (r >= 0)
                r = KEEP(part, all, own, theirs, nmems);
        if (r >= 0)
                r = KEEP(part, all, own, theirs, nd_regions);
        if (r >= 0)
                r = KEEP(part, all, own, theirs, namespaces);
        if (r >= 0)
                r = KEEP(part, all, own, theirs, blocks);
        if (r >= 0)
                r = KEEP(part, all, own, theirs, mounts);
        if (r >= 0)
                r = KEEP(part, all, own, theirs, swaps);
        return r < 0 ? r : keep_ranges(part, all, own, theirs);
}

/* What goes with all the slots but this one. */
static int find_theirs(const Scope *s, size_t without, Scope *ret) {
        const Slot *first = scope_slot(s, without == 0 ? 1 : 0);
        _cleanup_free_ const Slot **others = calloc(scope_n_slots(s), sizeof(Slot *));
        size_t n = 0;

        if (!others)
                return -ENOMEM;
        for (size_t i = 0; i < scope_n_slots(s); i++)
                if (i != without && scope_slot(s, i) != first)
                        others[n++] = scope_slot(s, i);
        return scope_find_all(s->t, first, others, n, ret);
}

int scope_part(const Scope *s, size_t i, Scope *ret) {
        _cleanup_(scope_done) Scope own = { 0 }, theirs = { 0 };
        Scope part = { .t = s->t, .slot = scope_slot(s, i) };

        int r = scope_find(s->t, part.slot, &own);
        if (r >= 0)
                r = find_theirs(s, i, &theirs);
        if (r >= 0)
                r = keep_all(&part, s, &own, &theirs);
        if (r < 0) {
                scope_done(&part);
                return r;
        }
        part.is_memory = own.is_memory;
        part.has_virtio_mem = own.has_virtio_mem;
        *ret = part;
        return 0;
}
