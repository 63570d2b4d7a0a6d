/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* From the card's block devices upwards: what stands on them, the file systems on those, loop devices whose files are on the
 * file systems, and so on until nothing more is found. Everything has a rank that is higher than that of what it stands on; it
 * is the order in which things can be taken down. */
#include <errno.h>

#include "plan/scope-internal.h"

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

static bool is_on_card(const Stack *k, const BlockDevice *b) {
        for (size_t i = 0; i < k->s->n_functions; i++)
                if (streq_ptr(k->s->functions[i]->bdf, b->bdf))
                        return true;
        for (size_t i = 0; i < k->s->n_namespaces; i++)
                if (streq_ptr(k->s->namespaces[i]->block, b->name))
                        return true;
        return false;
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

/* What stands on the card and is not known to the array as a member may be anything. */
static bool array_goes(Stack *k, const BlockDevice *b) {
        for (size_t i = 0; i < b->n_lower; i++)
                if (rank_of_block(k, b->lower[i]) > 0 && !md_member(b->array, b->lower[i]))
                        return true;
        return md_without(b->array, member_goes, k) == MD_ENDS;
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

        if (is_on_card(k, b) || rank_of_file_system(k, b->backing) > 0)
                return true;
        if (b->array)
                return array_goes(k, b);
        return going > 0 && !(b->multipath && has_path_left(k, b));
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

/* Something that goes is above what it stands on. */
static bool lift(unsigned *rank, unsigned below) {
        if (*rank == 0 || *rank > below)
                return false;
        *rank = below + 1;
        return true;
}

static bool lift_block(Stack *k, size_t i) {
        const BlockDevice *b = &k->t->block_devices[i];
        bool lifted = lift(&k->blocks[i], rank_of_file_system(k, b->backing));

        /* Its container has the same members and no link to it. */
        if (b->array && b->array->container)
                lifted |= lift(&k->blocks[i], rank_of_block(k, b->array->container));

        for (size_t j = 0; j < b->n_lower; j++)
                lifted |= lift(&k->blocks[i], rank_of_block(k, b->lower[j]));
        return lifted;
}

static bool lift_file_system(Stack *k, size_t i) {
        const FileSystem *fs = &k->t->file_systems[i];
        bool lifted = false;

        for (size_t j = 0; j < fs->n_devices; j++)
                lifted |= lift(&k->file_systems[i], rank_of_block(k, fs->devices[j]));
        for (size_t j = 0; j < fs->n_layers; j++)
                lifted |= lift(&k->file_systems[i], rank_of_file_system(k, fs->layers[j]));
        return lifted;
}

static const Mount *parent_of(const Topology *t, const Mount *m) {
        for (size_t i = 0; i < t->n_mounts; i++)
                if (t->mounts[i].ns == m->ns && t->mounts[i].id == m->parent_id && &t->mounts[i] != m)
                        return &t->mounts[i];
        return NULL;
}

/* A file system that is mounted on a folder of another one comes before that, whatever either stands on. */
static bool lift_mount(Stack *k, const Mount *m) {
        const FileSystem *fs = topology_file_system(k->t, m->dev);
        unsigned *rank = fs ? &k->file_systems[fs - k->t->file_systems] : NULL;
        bool lifted = false;

        if (!rank || *rank == 0)
                return false;
        const Mount *p = parent_of(k->t, m);
        for (size_t i = 0; p && i < k->t->n_mounts; i++, p = parent_of(k->t, p))
                lifted |= p->dev != m->dev && lift(rank, rank_of_file_system(k, p->dev));
        return lifted;
}

static bool lift_all(Stack *k) {
        bool lifted = false;

        for (size_t i = 0; i < k->t->n_block_devices; i++)
                lifted |= lift_block(k, i);
        for (size_t i = 0; i < k->t->n_file_systems; i++)
                lifted |= lift_file_system(k, i);
        for (size_t i = 0; i < k->t->n_mounts; i++)
                lifted |= lift_mount(k, &k->t->mounts[i]);
        return lifted;
}

/* Two file systems can be mounted in each other, and then there is no order: a round for each thing is enough for all else. */
static void rank_all(Stack *k) {
        size_t rounds = k->t->n_block_devices + k->t->n_file_systems;

        for (size_t i = 0; i < rounds && lift_all(k); i++)
                ;
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

static unsigned depth_of(const Topology *t, const Mount *m) {
        unsigned depth = 0;

        for (const Mount *p = parent_of(t, m); p && depth < t->n_mounts; p = parent_of(t, p))
                depth++;
        return depth;
}

static int add_mounts(const Stack *k, Scope *s) {
        const Topology *t = k->t;
        _cleanup_free_ Place *places = calloc(t->n_mounts + 1, sizeof(Place));
        size_t n = 0;
        int r = places ? 0 : -ENOMEM;

        for (size_t i = 0; i < t->n_mounts && r >= 0; i++) {
                unsigned rank = rank_of_file_system(k, t->mounts[i].dev);
                if (rank > 0)
                        places[n++] = (Place) { &t->mounts[i], .rank = rank, .depth = depth_of(t, &t->mounts[i]) };
        }
        if (n > 1)
                qsort(places, n, sizeof(Place), compare_mounts);
        for (size_t i = 0; i < n && r >= 0; i++)
                r = SCOPE_ADD(s, mounts, places[i].item);
        return r;
}

static bool swap_goes(const Stack *k, const Swap *w) {
        const BlockDevice *b = topology_block_device_at(k->t, w->dev);

        return w->file ? rank_of_file_system(k, w->dev) > 0 : b && rank_of_block(k, b->name) > 0;
}

static int add_swaps(const Stack *k, Scope *s) {
        for (size_t i = 0; i < k->t->n_swaps; i++) {
                int r = swap_goes(k, &k->t->swaps[i]) ? SCOPE_ADD(s, swaps, &k->t->swaps[i]) : 0;
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
        rank_all(&k);
        int r = add_blocks(&k, s);
        if (r >= 0)
                r = add_mounts(&k, s);
        return r < 0 ? r : add_swaps(&k, s);
}
