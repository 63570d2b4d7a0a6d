/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "topology/select-name.h"
#include "topology/select-why.h"
#include "topology/select.h"

static const char *const select_result_table[_SELECT_RESULT_MAX] = {
        [SELECT_FOUND] = "found",
        [SELECT_MALFORMED] = "malformed",
        [SELECT_UNKNOWN] = "unknown",
        [SELECT_AMBIGUOUS] = "ambiguous",
        [SELECT_NO_SLOT] = "no-slot",
};

DEFINE_STRING_TABLE(select_result, SelectResult)

static void candidates_done(Candidates *c) {
        free(c->items);
}

static int add(Candidates *c, Candidate new) {
        c->exists = true;
        for (size_t i = 0; i < c->n; i++) {
                const Candidate *old = &c->items[i];
                if (old->memdev == new.memdev && old->slot == new.slot && streq_ptr(old->bdf, new.bdf))
                        return 0;
        }

        int r = vec_grow((void **) &c->items, c->n, &c->n_allocated, sizeof(Candidate));
        if (r < 0)
                return r;
        c->items[c->n++] = new;
        return 0;
}

static int add_memdev(const Topology *t, const Memdev *m, Candidates *c) {
        return add(c, (Candidate) { m->bdf, m, topology_slot_of_function(t, m->bdf) });
}

static int add_function(const Topology *t, const PciFunction *f, Candidates *c) {
        const Memdev *m = NULL;

        for (size_t i = 0; i < t->n_memdevs; i++)
                if (streq_ptr(t->memdevs[i].bdf, f->bdf))
                        m = &t->memdevs[i];
        return add(c, (Candidate) { f->bdf, m, topology_slot(t, f->slot) });
}

/* Every card behind a region. One whose targets are gone exists, but leads nowhere. */
static int add_region(const Topology *t, const Region *g, Candidates *c) {
        c->exists = true;
        for (size_t i = 0; i < g->n_targets; i++) {
                const Memdev *m = topology_memdev(t, g->targets[i].memdev);
                int r = m ? add_memdev(t, m, c) : 0;
                if (r < 0)
                        return r;
        }
        return 0;
}

/* By addresses, because memory says where it is and not whose. */
static int add_range(const Topology *t, uint64_t start, uint64_t size, Candidates *c) {
        for (size_t i = 0; i < t->n_regions; i++) {
                const Region *g = &t->regions[i];
                if (size == 0 || g->size == 0 || start > g->start + (g->size - 1) || g->start > start + (size - 1))
                        continue;
                int r = add_region(t, g, c);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int add_dax(const Topology *t, const DaxDevice *d, Candidates *c) {
        const Region *g = topology_region(t, d->region);

        c->exists = true;
        return g ? add_region(t, g, c) : add_range(t, d->start, d->size, c);
}

/* Without a domain an address matches in every one. */
static bool address_matches(const char *bdf, const Name *name) {
        const char *rest = name->has_domain ? bdf : strchr(bdf, ':');

        if (!rest)
                return false;
        return streq(name->has_domain ? rest : rest + 1, name->text);
}

static int find_functions(const Topology *t, const Name *name, Candidates *c) {
        for (size_t i = 0; i < t->n_functions; i++) {
                int r = address_matches(t->functions[i].bdf, name) ? add_function(t, &t->functions[i], c) : 0;
                if (r < 0)
                        return r;
        }
        return 0;
}

static int find_slots(const Topology *t, const Name *name, Candidates *c) {
        for (size_t i = 0; i < t->n_slots; i++) {
                const Slot *s = &t->slots[i];
                bool meant = name->kind == NAME_PORT ? s->port && address_matches(s->port, name) : streq(s->name, name->text);
                int r = meant ? add(c, (Candidate) { s->address, NULL, s }) : 0;
                if (r < 0)
                        return r;
        }
        return 0;
}

static int find_memdevs(const Topology *t, const Name *name, Candidates *c) {
        for (size_t i = 0; i < t->n_memdevs; i++) {
                const Memdev *m = &t->memdevs[i];
                bool meant = name->kind == NAME_SERIAL ? m->serial == name->number : streq(m->name, name->text);
                int r = meant ? add_memdev(t, m, c) : 0;
                if (r < 0)
                        return r;
        }
        return 0;
}

static int find_region(const Topology *t, const Name *name, Candidates *c) {
        const Region *g = topology_region(t, name->text);

        return g ? add_region(t, g, c) : 0;
}

static int find_dax(const Topology *t, const Name *name, Candidates *c) {
        const DaxDevice *d = topology_dax(t, name->text);

        return d ? add_dax(t, d, c) : 0;
}

static int find_node(const Topology *t, const Name *name, Candidates *c) {
        int id = name->number <= INT32_MAX ? (int) name->number : -1;

        c->exists = id >= 0 && topology_node(t, id);
        for (size_t i = 0; id >= 0 && i < t->n_daxes; i++) {
                int r = t->daxes[i].target_node == id ? add_dax(t, &t->daxes[i], c) : 0;
                if (r < 0)
                        return r;
        }
        return 0;
}

static int find_block(const Topology *t, const Name *name, Candidates *c) {
        for (size_t i = 0; i < t->n_blocks; i++) {
                if (t->blocks[i].id != name->number)
                        continue;
                c->exists = true;
                return add_range(t, t->blocks[i].start, t->block_size, c);
        }
        return 0;
}

static int find(const Topology *t, const Name *name, Candidates *c) {
        static int (*const finders[_NAME_KIND_MAX])(const Topology *t, const Name *name, Candidates *c) = {
                [NAME_SLOT] = find_slots,
                [NAME_FUNCTION] = find_functions,
                [NAME_PORT] = find_slots,
                [NAME_MEMDEV] = find_memdevs,
                [NAME_REGION] = find_region,
                [NAME_DAX] = find_dax,
                [NAME_NODE] = find_node,
                [NAME_BLOCK] = find_block,
                [NAME_SERIAL] = find_memdevs,
        };

        return finders[name->kind](t, name, c);
}

/* Several cards in one slot are one answer: it is slots that are removed. */
static SelectResult judge(const Candidates *c) {
        if (c->n == 0)
                return c->exists ? SELECT_NO_SLOT : SELECT_UNKNOWN;
        for (size_t i = 1; i < c->n; i++)
                if (c->items[i].slot != c->items[0].slot || !c->items[i].slot)
                        return SELECT_AMBIGUOUS;
        return c->items[0].slot ? SELECT_FOUND : SELECT_NO_SLOT;
}

static char *explain(SelectResult result, const Topology *t, const Name *name, const Candidates *c) {
        switch (result) {
        case SELECT_UNKNOWN:
                return why_unknown(t, name);
        case SELECT_AMBIGUOUS:
                return why_ambiguous(name, c);
        default:
                return why_no_slot(t, name);
        }
}

int topology_select(const Topology *t, const char *name, const Slot **ret_slot, char **ret_why) {
        _cleanup_(candidates_done) Candidates c = { 0 };
        _cleanup_(name_done) Name n = { 0 };
        _cleanup_free_ char *why = NULL;

        int r = name_parse(name, &n);
        if (r == -ENOMEM)
                return r;
        if (r >= 0) {
                r = find(t, &n, &c);
                if (r < 0)
                        return r;
                r = judge(&c);
                if (r == SELECT_FOUND) {
                        *ret_slot = c.items[0].slot;
                        return r;
                }
                why = explain((SelectResult) r, t, &n, &c);
        } else {
                r = SELECT_MALFORMED;
                why = why_malformed(name);
        }

        if (!why)
                return -ENOMEM;
        *ret_why = TAKE_PTR(why);
        return r;
}
