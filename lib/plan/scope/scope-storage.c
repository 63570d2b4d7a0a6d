/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* From the card's block devices upwards: what stands on them, the file systems on those, loop devices whose files are on the
 * file systems, and so on until nothing more is found. Everything has a rank that is higher than that of what it stands on; it
 * is the order in which things can be taken down. */
#include <errno.h>

#include "plan/scope/scope.h"
#include "topology/topology.h"

typedef struct Stack {
        const Topology *t;
        const Scope *s;
        unsigned *blocks;       /* rank of each of t->block_devices, 0: stays */
        unsigned *file_systems; /* the same of t->file_systems */
} Stack;

static unsigned rank_of_block(const Stack *k, const char *name) {
        const BlockDevice *b = topology_block_device(k->t, name);

        return b ? k->blocks[b - k->t->block_devices] : 0;
}

static unsigned rank_of_file_system(const Stack *k, dev_t dev) {
        const FileSystem *fs = topology_file_system(k->t, dev);

        return fs ? k->file_systems[fs - k->t->file_systems] : 0;
}

static size_t count_going(const Stack *k, char *const *names, size_t n) {
        size_t going = 0;

        for (size_t i = 0; i < n; i++)
                going += rank_of_block(k, names[i]) > 0;
        return going;
}

/* md_goes_t */
static bool member_goes(const char *member, void *userdata) {
        return rank_of_block(userdata, member) > 0;
}

/* A path that serves nobody is none that it could go on over. */
static bool has_path_left(const Stack *k, const BlockDevice *b) {
        for (size_t i = 0; i < b->n_lower; i++) {
                const BlockDevice *path = topology_block_device(k->t, b->lower[i]);
                if (path && !path->trouble && rank_of_block(k, path->name) == 0)
                        return true;
        }
        return false;
}

static bool block_goes(Stack *k, const BlockDevice *b) {
        size_t going = count_going(k, b->lower, b->n_lower);

        if (scope_has_function(k->s, b->bdf) || rank_of_file_system(k, b->backing) > 0)
                return true;
        for (size_t i = 0; i < k->s->n_namespaces; i++)
                if (streq_ptr(k->s->namespaces[i]->block, b->name))
                        return true;
        if (!b->array)
                return going > 0 && !(b->multipath && has_path_left(k, b));
        /* What stands on the card and is not known to the array as a member may be anything. */
        for (size_t i = 0; i < b->n_lower; i++)
                if (rank_of_block(k, b->lower[i]) > 0 && !md_member(b->array, b->lower[i]))
                        return true;
        return md_without(b->array, member_goes, k) == MD_ENDS;
}

static bool file_system_goes(const Stack *k, const FileSystem *fs) {
        for (size_t i = 0; i < fs->n_layers; i++)
                if (rank_of_file_system(k, fs->layers[i]) > 0)
                        return true;
        return count_going(k, fs->devices, fs->n_devices) > 0;
}

static bool mark(unsigned *rank, bool goes) {
        if (*rank > 0 || !goes)
                return false;
        *rank = 1;
        return true;
}

static void find_what_goes(Stack *k) {
        for (bool more = true; more;) {
                more = false;
                for (size_t i = 0; i < k->t->n_block_devices; i++)
                        more |= mark(&k->blocks[i], block_goes(k, &k->t->block_devices[i]));
                for (size_t i = 0; i < k->t->n_file_systems; i++)
                        more |= mark(&k->file_systems[i], file_system_goes(k, &k->t->file_systems[i]));
        }
}

/* Something that goes stands on something that goes: blocks by their places, file systems by theirs after all of the blocks. */
typedef struct Edge {
        size_t lower, upper;
} Edge;

typedef struct Edges {
        Edge *items;            /* sorted by `lower` once they are all there */
        size_t n, n_allocated;
} Edges;

static unsigned *rank_at(const Stack *k, size_t node) {
        return node < k->t->n_block_devices ? &k->blocks[node] : &k->file_systems[node - k->t->n_block_devices];
}

static size_t node_of_file_system(const Stack *k, dev_t dev) {
        const FileSystem *fs = topology_file_system(k->t, dev);

        return fs ? k->t->n_block_devices + (size_t) (fs - k->t->file_systems) : SIZE_MAX;
}

static size_t node_of_block(const Stack *k, const char *name) {
        const BlockDevice *b = topology_block_device(k->t, name);

        return b ? (size_t) (b - k->t->block_devices) : SIZE_MAX;
}

static int add_edge(const Stack *k, Edges *e, size_t lower, size_t upper) {
        if (lower == SIZE_MAX || lower == upper || *rank_at(k, lower) == 0 || *rank_at(k, upper) == 0)
                return 0;
        int r = vec_grow((void **) &e->items, e->n, &e->n_allocated, sizeof(e->items[0]));
        if (r < 0)
                return r;
        e->items[e->n++] = (Edge) { lower, upper };
        return 0;
}

static int add_block_edges(const Stack *k, Edges *e, size_t i) {
        const BlockDevice *b = &k->t->block_devices[i];
        int r = add_edge(k, e, node_of_file_system(k, b->backing), i);

        /* Its container has the same members and no link to it. */
        if (r >= 0 && b->array && b->array->container)
                r = add_edge(k, e, node_of_block(k, b->array->container), i);
        for (size_t j = 0; j < b->n_lower && r >= 0; j++)
                r = add_edge(k, e, node_of_block(k, b->lower[j]), i);
        return r;
}

static int add_file_system_edges(const Stack *k, Edges *e, size_t i) {
        const FileSystem *fs = &k->t->file_systems[i];
        size_t upper = k->t->n_block_devices + i;
        int r = 0;

        for (size_t j = 0; j < fs->n_devices && r >= 0; j++)
                r = add_edge(k, e, node_of_block(k, fs->devices[j]), upper);
        for (size_t j = 0; j < fs->n_layers && r >= 0; j++)
                r = add_edge(k, e, node_of_file_system(k, fs->layers[j]), upper);
        return r;
}

static bool mount_goes(const Mount *m, void *userdata) {
        return rank_of_file_system(userdata, m->dev) > 0;
}

static int compare_edges(const void *a, const void *b) {
        const Edge *x = a, *y = b;

        return x->lower < y->lower ? -1 : x->lower > y->lower;
}

static int find_edges(Stack *k, Edges *e) {
        _cleanup_free_ Nesting *nested = NULL;
        size_t n = 0, first = k->t->n_block_devices;
        int r = 0;

        for (size_t i = 0; i < k->t->n_block_devices && r >= 0; i++)
                r = add_block_edges(k, e, i);
        for (size_t i = 0; i < k->t->n_file_systems && r >= 0; i++)
                r = add_file_system_edges(k, e, i);
        /* A file system that is mounted on a folder of another one comes before that, whatever either stands on. */
        if (r >= 0)
                r = nested_mounts(k->t, mount_goes, k, &nested, &n);
        for (size_t i = 0; i < n && r >= 0; i++)
                r = add_edge(k, e, first + nested[i].lower, first + nested[i].upper);
        if (e->n > 1)
                qsort(e->items, e->n, sizeof(e->items[0]), compare_edges);
        return r;
}

typedef struct Ranking {
        const Edges *edges;
        size_t *first;          /* of each node its first edge upwards; one more for the end */
        size_t *below;          /* how many edges lead down to something without a final rank */
        size_t *ready;          /* nodes whose rank is final, in that order */
        size_t n_ready;
        bool *final;
} Ranking;

static void make_final(Ranking *r, size_t node) {
        r->final[node] = true;
        r->ready[r->n_ready++] = node;
}

static void lift_above(const Stack *k, Ranking *r, size_t node) {
        for (size_t i = r->first[node]; i < r->first[node + 1]; i++) {
                size_t upper = r->edges->items[i].upper;
                unsigned *rank = rank_at(k, upper), above = *rank_at(k, node) + 1;

                if (r->final[upper])
                        continue;
                if (*rank < above)
                        *rank = above;
                if (--r->below[upper] == 0)
                        make_final(r, upper);
        }
}

/* Each is above all that it stands on. Two file systems can be mounted in each other, and then there is no order (find-mounts.c says so):
 * the first of them is taken as if it stood on nothing. Every edge is followed once: anybody can make many file systems. */
static void rank_nodes(const Stack *k, Ranking *r, size_t n) {
        for (size_t i = 0; i < r->edges->n; i++) {
                r->first[r->edges->items[i].lower + 1]++;
                r->below[r->edges->items[i].upper]++;
        }
        for (size_t i = 0; i < n; i++)
                r->first[i + 1] += r->first[i];
        for (size_t i = 0; i < n; i++)
                if (*rank_at(k, i) > 0 && r->below[i] == 0)
                        make_final(r, i);

        size_t done = 0;
        for (size_t stuck = 0; stuck < n;) {
                while (done < r->n_ready)
                        lift_above(k, r, r->ready[done++]);
                for (; stuck < n && (*rank_at(k, stuck) == 0 || r->final[stuck]); stuck++)
                        ;
                if (stuck < n)
                        make_final(r, stuck);
        }
}

static int rank_all(Stack *k) {
        size_t n = k->t->n_block_devices + k->t->n_file_systems;
        _cleanup_free_ size_t *first = calloc(n + 2, sizeof(size_t)), *below = calloc(n + 1, sizeof(size_t)), *ready = calloc(n + 1, sizeof(size_t));
        _cleanup_free_ bool *final = calloc(n + 1, sizeof(bool));
        _cleanup_free_ Edge *items = NULL;
        Edges edges = { 0 };

        int r = first && below && ready && final ? find_edges(k, &edges) : -ENOMEM;
        items = edges.items;
        if (r < 0)
                return r;
        Ranking ranking = { .edges = &edges, .first = first, .below = below, .ready = ready, .final = final };
        rank_nodes(k, &ranking, n);
        return 0;
}

/* What is sorted, and by what. */
typedef struct Place {
        const void *item;
        unsigned rank;
        unsigned depth;         /* mounts: how many it stands on in its namespace */
} Place;

static int compare_blocks(const void *a, const void *b) {
        const Place *x = a, *y = b;

        if (x->rank != y->rank)
                return x->rank < y->rank ? 1 : -1;
        return strverscmp(((const BlockDevice *) x->item)->name, ((const BlockDevice *) y->item)->name);
}

static int compare_mounts(const void *a, const void *b) {
        const Place *x = a, *y = b;
        const Mount *m = x->item, *n = y->item;

        if (x->rank != y->rank)
                return x->rank < y->rank ? 1 : -1;
        if (m->dev != n->dev)
                return m->dev < n->dev ? -1 : 1;
        if (x->depth != y->depth)
                return x->depth < y->depth ? 1 : -1;
        if (m->ns != n->ns)
                return m->ns < n->ns ? -1 : 1;
        return m->order < n->order ? 1 : -1;
}

static int add_blocks(const Stack *k, Scope *s) {
        const Topology *t = k->t;
        _cleanup_free_ Place *places = calloc(t->n_block_devices + 1, sizeof(Place));
        size_t n = 0;
        int r = places ? 0 : -ENOMEM;

        for (size_t i = 0; i < t->n_block_devices && r >= 0; i++)
                if (k->blocks[i] > 0)
                        places[n++] = (Place) { &t->block_devices[i], .rank = k->blocks[i] };
        if (n > 1)
                qsort(places, n, sizeof(Place), compare_blocks);
        for (size_t i = 0; i < n && r >= 0; i++)
                r = SCOPE_ADD(s, blocks, places[i].item);
        return r;
}

static int add_mounts(const Stack *k, Scope *s) {
        const Topology *t = k->t;
        _cleanup_free_ Place *places = calloc(t->n_mounts + 1, sizeof(Place));
        size_t n = 0;
        int r = places ? 0 : -ENOMEM;

        for (size_t i = 0; i < t->n_mounts && r >= 0; i++) {
                unsigned rank = rank_of_file_system(k, t->mounts[i].dev);
                if (rank > 0)
                        places[n++] = (Place) { &t->mounts[i], .rank = rank, .depth = t->mounts[i].depth };
        }
        if (n > 1)
                qsort(places, n, sizeof(Place), compare_mounts);
        s->mount_goes = calloc(t->n_mounts + 1, sizeof(bool));
        if (!s->mount_goes)
                return -ENOMEM;
        for (size_t i = 0; i < n && r >= 0; i++) {
                s->mount_goes[(const Mount *) places[i].item - t->mounts] = true;
                r = SCOPE_ADD(s, mounts, places[i].item);
        }
        return r;
}

bool scope_has_mount(const Scope *s, const Topology *t, const Mount *m) {
        return s->mount_goes && s->mount_goes[m - t->mounts];
}

typedef struct InScope {
        const Scope *s;
        const Topology *t;
} InScope;

static bool is_in_scope(const Mount *m, void *userdata) {
        const InScope *in = userdata;

        return scope_has_mount(in->s, in->t, m);
}

bool scope_mount_ends(const Scope *s, const Topology *t, const Mount *m) {
        InScope in = { s, t };

        return mount_ends(t, m, is_in_scope, &in);
}

static int add_swaps(const Stack *k, Scope *s) {
        for (size_t i = 0; i < k->t->n_swaps; i++) {
                const Swap *w = &k->t->swaps[i];
                const BlockDevice *b = w->file ? NULL : topology_block_device_at(k->t, w->dev);
                bool goes = w->file ? rank_of_file_system(k, w->dev) > 0 : b && rank_of_block(k, b->name) > 0;
                int r = goes ? SCOPE_ADD(s, swaps, w) : 0;
                if (r < 0)
                        return r;
        }
        return 0;
}

int scope_find_storage(const Topology *t, Scope *s) {
        _cleanup_free_ unsigned *blocks = calloc(t->n_block_devices + 1, sizeof(unsigned));
        _cleanup_free_ unsigned *file_systems = calloc(t->n_file_systems + 1, sizeof(unsigned));
        if (!blocks || !file_systems)
                return -ENOMEM;

        Stack k = { .t = t, .s = s, .blocks = blocks, .file_systems = file_systems };
        find_what_goes(&k);
        int r = rank_all(&k);
        if (r >= 0)
                r = add_blocks(&k, s);
        if (r >= 0)
                r = add_mounts(&k, s);
        return r < 0 ? r : add_swaps(&k, s);
}
