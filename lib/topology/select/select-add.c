/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* From a thing down to the cards it is on. */
#include "base/span.h"
#include "topology/select/select-add.h"

void candidates_done(Candidates *c) {
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

int candidates_add_memdev(const Topology *t, const Memdev *m, Candidates *c) {
        return add(c, (Candidate) { m->bdf, m, topology_slot_of_function(t, m->bdf) });
}

int candidates_add_function(const Topology *t, const PciFunction *f, Candidates *c) {
        const Memdev *m = NULL;

        for (size_t i = 0; i < t->n_memdevs; i++)
                if (streq_ptr(t->memdevs[i].bdf, f->bdf))
                        m = &t->memdevs[i];
        return add(c, (Candidate) { f->bdf, m, topology_slot(t, f->slot) });
}

/* Every card behind a region. One whose targets are gone exists, but leads nowhere. */
int candidates_add_region(const Topology *t, const Region *g, Candidates *c) {
        c->exists = true;
        for (size_t i = 0; i < g->n_targets; i++) {
                const Memdev *m = topology_memdev(t, g->targets[i].memdev);
                int r = m ? candidates_add_memdev(t, m, c) : 0;
                if (r < 0)
                        return r;
        }
        return 0;
}

/* By addresses, because memory says where it is and not whose. What only begins or ends in a region is not that region's. Memory that no
 * region has is on the cards that it may be on. */
int candidates_add_range(const Topology *t, uint64_t start, uint64_t size, Candidates *c) {
        bool in_region = false;
        int r = 0;

        for (size_t i = 0; i < t->n_regions && r >= 0; i++)
                if (span_within(start, size, t->regions[i].start, t->regions[i].size)) {
                        in_region = true;
                        r = candidates_add_region(t, &t->regions[i], c);
                }
        for (size_t i = 0; i < t->n_nd_regions && r >= 0; i++)
                if (span_within(start, size, t->nd_regions[i].start, t->nd_regions[i].size)) {
                        in_region = true;
                        r = candidates_add_nd_region(t, &t->nd_regions[i], c);
                }
        for (size_t i = 0; !in_region && i < t->n_functions && r >= 0; i++)
                if (topology_in_window(t, start, size) && topology_may_be_on(t, &t->functions[i], start, size))
                        r = candidates_add_function(t, &t->functions[i], c);
        return r;
}

int candidates_add_dax(const Topology *t, const DaxDevice *d, Candidates *c) {
        const NdRegion *nd = topology_nd_region(t, d->nd_region);
        const Region *g = topology_region(t, d->region);

        c->exists = true;
        if (nd)
                return candidates_add_nd_region(t, nd, c);
        if (g)
                return candidates_add_region(t, g, c);
        int r = 0;
        for (size_t i = 0; i < d->n_ranges && r >= 0; i++)
                r = candidates_add_range(t, d->ranges[i].start, d->ranges[i].size, c);
        return r;
}

int candidates_add_slot(const Slot *s, Candidates *c) {
        return add(c, (Candidate) { s->address, NULL, s });
}

/* The card that carries it, or the socket that it is in. */
int candidates_add_nmem(const Topology *t, const Nmem *n, Candidates *c) {
        const Memdev *m = topology_memdev(t, n->memdev);
        const Slot *s = m ? NULL : topology_slot(t, n->name);

        c->exists = true;
        if (m)
                return candidates_add_memdev(t, m, c);
        return s ? candidates_add_slot(s, c) : 0;
}

int candidates_add_nd_region(const Topology *t, const NdRegion *g, Candidates *c) {
        c->exists = true;
        for (size_t i = 0; i < g->n_nmems; i++) {
                const Nmem *n = topology_nmem(t, g->nmems[i]);
                int r = n ? candidates_add_nmem(t, n, c) : 0;
                if (r < 0)
                        return r;
        }
        return 0;
}

/* What was followed already, since things may stand on the same one in several ways. */
typedef struct Walk {
        const Topology *t;
        Candidates *c;
        bool *blocks;           /* one for each of t->block_devices */
        bool *file_systems;     /* one for each of t->file_systems */
} Walk;

static int follow_file_system(Walk *w, const FileSystem *fs);

static int follow_block_device(Walk *w, const BlockDevice *b) {
        const Topology *t = w->t;
        const PciFunction *f = b ? topology_function(t, b->bdf) : NULL;
        int r = 0;

        if (!b || w->blocks[b - t->block_devices])
                return 0;
        w->blocks[b - t->block_devices] = true;
        for (size_t i = 0; i < t->n_namespaces && r >= 0; i++) {
                const Namespace *n = &t->namespaces[i];
                const NdRegion *g = streq_ptr(n->block, b->name) ? topology_nd_region(t, n->nd_region) : NULL;
                r = g ? candidates_add_nd_region(t, g, w->c) : 0;
        }
        if (r >= 0 && f)
                r = candidates_add_function(t, f, w->c);
        for (size_t i = 0; i < b->n_lower && r >= 0; i++)
                r = follow_block_device(w, topology_block_device(t, b->lower[i]));
        return r < 0 ? r : follow_file_system(w, topology_file_system(t, b->backing));
}

static int follow_file_system(Walk *w, const FileSystem *fs) {
        const Topology *t = w->t;
        int r = 0;

        if (!fs || w->file_systems[fs - t->file_systems])
                return 0;
        w->file_systems[fs - t->file_systems] = true;
        for (size_t i = 0; i < fs->n_devices && r >= 0; i++)
                r = follow_block_device(w, topology_block_device(t, fs->devices[i]));
        for (size_t i = 0; i < fs->n_layers && r >= 0; i++)
                r = follow_file_system(w, topology_file_system(t, fs->layers[i]));
        return r;
}

static int follow(const Topology *t, const BlockDevice *b, const FileSystem *fs, Candidates *c) {
        _cleanup_free_ bool *blocks = calloc(t->n_block_devices + 1, sizeof(bool));
        _cleanup_free_ bool *file_systems = calloc(t->n_file_systems + 1, sizeof(bool));
        if (!blocks || !file_systems)
                return -ENOMEM;

        Walk w = { .t = t, .c = c, .blocks = blocks, .file_systems = file_systems };
        c->exists = true;
        int r = follow_block_device(&w, b);
        return r < 0 ? r : follow_file_system(&w, fs);
}

int candidates_add_block_device(const Topology *t, const BlockDevice *b, Candidates *c) {
        return follow(t, b, NULL, c);
}

int candidates_add_mount(const Topology *t, const Mount *m, Candidates *c) {
        return follow(t, NULL, topology_file_system(t, m->dev), c);
}
