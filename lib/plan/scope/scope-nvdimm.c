/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "plan/scope/scope-internal.h"

static bool has_region(const Scope *s, const char *name) {
        for (size_t i = 0; name && i < s->n_regions; i++)
                if (streq(s->regions[i]->name, name))
                        return true;
        return false;
}

static bool is_of_card(const Scope *s, const Nmem *n) {
        for (size_t i = 0; n->memdev && i < s->n_memdevs; i++)
                if (streq(s->memdevs[i]->name, n->memdev))
                        return true;
        return streq_ptr(s->slot->nmem, n->name) && s->slot->nmem;
}

int scope_find_nmems(const Topology *t, Scope *s) {
        for (size_t i = 0; i < t->n_nmems; i++) {
                int r = is_of_card(s, &t->nmems[i]) ? SCOPE_ADD(s, nmems, &t->nmems[i]) : 0;
                if (r < 0)
                        return r;
        }
        return 0;
}

static int higher_first(const void *a, const void *b) {
        const NdRegion *x = *(const NdRegion *const *) a, *y = *(const NdRegion *const *) b;

        return x->start < y->start ? 1 : x->start > y->start ? -1 : 0;
}

int scope_find_nd_regions(const Topology *t, Scope *s) {
        for (size_t i = 0; i < t->n_nd_regions; i++) {
                const NdRegion *g = &t->nd_regions[i];
                bool ours = has_region(s, g->cxl_region);
                for (size_t j = 0; j < s->n_nmems && !ours; j++)
                        ours = nd_region_uses_nmem(g, s->nmems[j]->name);
                int r = ours ? SCOPE_ADD(s, nd_regions, g) : 0;
                if (r < 0)
                        return r;
        }
        if (s->n_nd_regions > 1)
                qsort(s->nd_regions, s->n_nd_regions, sizeof(*s->nd_regions), higher_first);
        return 0;
}

static bool has_nmem(const Scope *s, const Nmem *n) {
        for (size_t i = 0; i < s->n_nmems; i++)
                if (s->nmems[i] == n)
                        return true;
        return false;
}

/* Modules in other sockets; those of other cards are known by their memdevs. */
int scope_find_nmem_peers(const Topology *t, Scope *s) {
        for (size_t i = 0; i < t->n_nmems; i++) {
                const Nmem *n = &t->nmems[i];
                bool loses = false;
                for (size_t j = 0; j < s->n_nd_regions && !loses; j++)
                        loses = nd_region_uses_nmem(s->nd_regions[j], n->name);
                int r = loses && !n->memdev && !has_nmem(s, n) ? SCOPE_ADD(s, nmem_peers, n) : 0;
                if (r < 0)
                        return r;
        }
        return 0;
}

int scope_find_namespaces(const Topology *t, Scope *s) {
        for (size_t j = 0; j < s->n_nd_regions; j++)
                for (size_t i = 0; i < t->n_namespaces; i++) {
                        bool ours = streq_ptr(t->namespaces[i].nd_region, s->nd_regions[j]->name);
                        int r = ours ? SCOPE_ADD(s, namespaces, &t->namespaces[i]) : 0;
                        if (r < 0)
                                return r;
                }
        return 0;
}
