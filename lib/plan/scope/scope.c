/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "plan/scope/scope-internal.h"

void scope_done(Scope *s) {
        free(s->others);
        free(s->words);
        free(s->inner);
        free(s->functions);
        free(s->memdevs);
        free(s->regions);
        free(s->daxes);
        free(s->peers);
        free(s->nodes);
        free(s->nmems);
        free(s->nmem_peers);
        free(s->nd_regions);
        free(s->namespaces);
        free(s->blocks);
        free(s->mounts);
        free(s->mount_goes);
        free(s->swaps);
        for (size_t i = 0; i < s->n_ranges; i++)
                free(s->ranges[i].why);
        free(s->ranges);
}

/* The slot of the removal that one with this name is, or is inside of; NULL: none. */
static const Slot *outermost(const Scope *s, const char *name) {
        for (size_t i = 0; i < scope_n_slots(s); i++)
                if (topology_slot_is_within(s->t, name, scope_slot(s, i)))
                        return scope_slot(s, i);
        return NULL;
}

static int find_inner(const Topology *t, Scope *s) {
        for (size_t i = 0; i < t->n_slots; i++) {
                const Slot *inner = &t->slots[i], *outer = outermost(s, inner->name);
                int r = outer && inner != outer ? SCOPE_ADD(s, inner, inner) : 0;
                if (r < 0)
                        return r;
        }
        return 0;
}

static bool is_inside(const Scope *s, const char *slot) {
        for (size_t i = 0; i < s->n_inner; i++)
                if (streq_ptr(s->inner[i]->name, slot))
                        return true;
        for (size_t i = 0; i < scope_n_slots(s); i++)
                if (streq_ptr(scope_slot(s, i)->name, slot))
                        return true;
        return false;
}

bool scope_is_outermost(const Scope *s, const PciFunction *f) {
        for (size_t i = 0; i < scope_n_slots(s); i++)
                if (streq_ptr(f->slot, scope_slot(s, i)->name))
                        return true;
        return false;
}

const Slot *scope_slot_of(const Scope *s, const PciFunction *f) {
        return f->slot ? outermost(s, f->slot) : NULL;
}

/* Those of the slots' own cards first: the card is called after them. */
static int find_functions(const Topology *t, Scope *s) {
        for (size_t pass = 0; pass < 2; pass++)
                for (size_t i = 0; i < t->n_functions; i++) {
                        const PciFunction *f = &t->functions[i];
                        bool wanted = is_inside(s, f->slot) && scope_is_outermost(s, f) == (pass == 0);
                        int r = wanted ? SCOPE_ADD(s, functions, f) : 0;
                        if (r < 0)
                                return r;
                }
        return 0;
}

static int find_memdevs(const Topology *t, Scope *s) {
        for (size_t i = 0; i < t->n_memdevs; i++)
                for (size_t j = 0; j < s->n_functions; j++)
                        if (streq_ptr(t->memdevs[i].bdf, s->functions[j]->bdf)) {
                                int r = SCOPE_ADD(s, memdevs, &t->memdevs[i]);
                                if (r < 0)
                                        return r;
                        }
        return 0;
}

static int higher_first(const void *a, const void *b) {
        const Region *x = *(const Region *const *) a, *y = *(const Region *const *) b;

        return x->start < y->start ? 1 : x->start > y->start ? -1 : 0;
}

static int find_regions(const Topology *t, Scope *s) {
        for (size_t i = 0; i < t->n_regions; i++) {
                bool ours = false;
                for (size_t j = 0; j < s->n_memdevs && !ours; j++)
                        ours = region_uses_memdev(&t->regions[i], s->memdevs[j]->name);
                if (!ours)
                        continue;
                int r = SCOPE_ADD(s, regions, &t->regions[i]);
                if (r < 0)
                        return r;
        }
        if (s->n_regions > 1)
                qsort(s->regions, s->n_regions, sizeof(*s->regions), higher_first);
        return 0;
}

static bool is_on_card(const Scope *s, const DaxDevice *d) {
        for (size_t i = 0; i < s->n_regions; i++)
                if (streq_ptr(d->region, s->regions[i]->name))
                        return true;
        for (size_t i = 0; i < s->n_namespaces; i++)
                if (streq_ptr(s->namespaces[i]->dax, d->name))
                        return true;
        return false;
}

static int find_daxes(const Topology *t, Scope *s) {
        for (size_t i = 0; i < t->n_daxes; i++) {
                int r = is_on_card(s, &t->daxes[i]) ? SCOPE_ADD(s, daxes, &t->daxes[i]) : 0;
                if (r < 0)
                        return r;
        }
        return 0;
}

static int find_peers(const Topology *t, Scope *s) {
        for (size_t i = 0; i < t->n_memdevs; i++) {
                if (scope_has_memdev(s, t->memdevs[i].name))
                        continue;
                for (size_t j = 0; j < s->n_regions; j++)
                        if (region_uses_memdev(s->regions[j], t->memdevs[i].name)) {
                                int r = SCOPE_ADD(s, peers, &t->memdevs[i]);
                                if (r < 0)
                                        return r;
                                break;
                        }
        }
        return 0;
}

static int find_nodes(const Topology *t, Scope *s) {
        for (size_t i = 0; i < t->n_nodes; i++) {
                bool loses = false;
                for (size_t j = 0; j < t->n_blocks && !loses; j++)
                        loses = t->blocks[j].online && t->blocks[j].node == t->nodes[i].id && scope_has_block(s, t, &t->blocks[j]);
                if (!loses)
                        continue;
                int r = SCOPE_ADD(s, nodes, &t->nodes[i]);
                if (r < 0)
                        return r;
        }
        return 0;
}

bool scope_is_empty(const Scope *s) {
        return s->n_functions == 0 && s->n_nmems == 0;
}

static int set_slots(Scope *s, const Slot *const *others, size_t n) {
        s->words = strdup(s->slot->word ?: s->slot->name);
        for (size_t i = 0; i < n && s->words; i++) {
                char *more = strf("%s %s", s->words, others[i]->word ?: others[i]->name);
                int r = SCOPE_ADD(s, others, others[i]);

                free(s->words);
                s->words = more;
                if (r < 0)
                        return r;
        }
        return s->words ? 0 : -ENOMEM;
}

int scope_find(const Topology *t, const Slot *slot, Scope *ret) {
        return scope_find_all(t, slot, NULL, 0, ret);
}

int scope_find_all(const Topology *t, const Slot *slot, const Slot *const *others, size_t n, Scope *ret) {
        static int (*const finders[])(const Topology *, Scope *) = {
                find_inner, find_functions, find_memdevs, find_regions, scope_find_nmems, scope_find_nd_regions, scope_find_namespaces,
                find_daxes, scope_find_ranges, find_peers, scope_find_nmem_peers, find_nodes, scope_find_storage,
        };

        *ret = (Scope) { .t = t, .slot = slot };
        int r = set_slots(ret, others, n);
        for (size_t i = 0; i < ELEMENTSOF(finders) && r >= 0; i++)
                r = finders[i](t, ret);
        return r < 0 ? r : 0;
}
