/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which mount stands on which. Whoever may make mounts may make tens of thousands of them, one on the other: everything here is found
 * by a search in a sorted array, never by a walk over all. */
#include <errno.h>

#include "kernel/mounts/mount-ns.h"
#include "topology/topology.h"

/* A mount namespace that is mounted somewhere itself, which keeps it. */
typedef struct Kept {
        uint64_t ns;
        const Mount *by;
} Kept;

struct MountTree {
        const Mount **by_id;    /* of a namespace together */
        const Mount **by_place; /* those on one mount together, those at one place of it in their order */
        size_t n;
        const Mount **roots;    /* what namespaces begin with, at most one of each */
        size_t n_roots;
        Kept *kept;             /* sorted */
        size_t n_kept;
};

void topology_drop_index(Topology *t) {
        MountTree *tree = TAKE_PTR(t->mount_tree);

        topology_drop_names(t);
        if (!tree)
                return;
        free(tree->by_id);
        free(tree->by_place);
        free(tree->roots);
        free(tree->kept);
        free(tree);
}

#define COMPARE(a, b) ((a) < (b) ? -1 : (a) > (b) ? 1 : 0)

static int by_id(const void *a, const void *b) {
        const Mount *x = *(const Mount *const *) a, *y = *(const Mount *const *) b;
        int c = COMPARE(x->ns, y->ns);

        if (c == 0)
                c = COMPARE(x->id, y->id);
        return c != 0 ? c : COMPARE(x, y);
}

static int by_place(const void *a, const void *b) {
        const Mount *x = *(const Mount *const *) a, *y = *(const Mount *const *) b;
        int c = COMPARE(x->ns, y->ns);

        if (c == 0)
                c = COMPARE(x->parent_id, y->parent_id);
        if (c == 0)
                c = strcmp(x->target ?: "", y->target ?: "");
        return c != 0 ? c : COMPARE(x, y);
}

/* The first that is not below what is looked for. */
static size_t lower_bound(const Mount *const *sorted, size_t n, bool (*is_below)(const Mount *m, const void *key), const void *key) {
        size_t first = 0;

        while (n > 0) {
                size_t half = n / 2;
                bool below = is_below(sorted[first + half], key);
                first += below ? half + 1 : 0;
                n = below ? n - half - 1 : half;
        }
        return first;
}

typedef struct IdKey {
        uint64_t ns, id;
} IdKey;

static bool id_is_below(const Mount *m, const void *key) {
        const IdKey *k = key;

        return m->ns < k->ns || (m->ns == k->ns && m->id < k->id);
}

static const Mount *find_parent(const MountTree *tree, const Mount *m) {
        const IdKey key = { m->ns, m->parent_id };

        for (size_t i = lower_bound(tree->by_id, tree->n, id_is_below, &key); i < tree->n; i++) {
                const Mount *p = tree->by_id[i];
                if (p->ns != key.ns || p->id != key.id)
                        return NULL;
                if (p != m)
                        return p;
        }
        return NULL;
}

/* Numbers that make a circle are no kernel's; whoever is in one stands on nothing. */
static void set_parents(Topology *t, const MountTree *tree) {
        for (size_t i = 0; i < t->n_mounts; i++) {
                t->mounts[i].parent = find_parent(tree, &t->mounts[i]);
                t->mounts[i].depth = 0;
        }
        for (size_t i = 0; i < t->n_mounts; i++) {
                Mount *m = &t->mounts[i];
                unsigned above = 0;

                for (const Mount *p = m; p && p->depth == 0 && above <= t->n_mounts; p = p->parent)
                        above++;
                if (above > t->n_mounts) {
                        m->parent = NULL;
                        above = 1;
                }
                const Mount *known = m, *last = m;
                for (unsigned j = 0; j < above; j++) {
                        last = known;
                        known = known->parent;
                }
                unsigned depth = (known ? known->depth : 0) + above;
                for (const Mount *p = m; p != known; p = p->parent) {
                        t->mounts[p - t->mounts].bottom = known ? known->bottom : last;
                        t->mounts[p - t->mounts].depth = depth--;
                }
        }
}

static bool root_is_below(const Mount *m, const void *key) {
        return m->ns < *(const uint64_t *) key;
}

/* Nothing that can be seen is below it. */
static void find_roots(MountTree *tree) {
        for (size_t i = 0; i < tree->n; i++) {
                const Mount *m = tree->by_place[i];
                if (m->parent || !streq_ptr(m->target, "/"))
                        continue;
                const Mount *last = tree->n_roots > 0 ? tree->roots[tree->n_roots - 1] : NULL;
                if (!last || last->ns != m->ns)
                        tree->roots[tree->n_roots++] = m;
                else if (m < last)
                        tree->roots[tree->n_roots - 1] = m;
        }
}

static int compare_kept(const void *a, const void *b) {
        const Kept *x = a, *y = b;

        return COMPARE(x->ns, y->ns);
}

static void find_kept(const Topology *t, MountTree *tree) {
        for (size_t i = 0; i < t->n_mounts; i++) {
                const Mount *m = &t->mounts[i];
                if (!streq_ptr(m->type, "nsfs") || !m->root || mount_ns_parse(m->root, &tree->kept[tree->n_kept].ns) < 0)
                        continue;
                tree->kept[tree->n_kept++].by = m;
        }
        if (tree->n_kept > 1)
                qsort(tree->kept, tree->n_kept, sizeof(*tree->kept), compare_kept);
}

const Mount *topology_ns_kept_by(const Topology *t, uint64_t ns) {
        const MountTree *tree = t->mount_tree;
        const Kept key = { .ns = ns }, *found = NULL;

        if (tree && tree->n_kept > 0)
                found = bsearch(&key, tree->kept, tree->n_kept, sizeof(*tree->kept), compare_kept);
        return found ? found->by : NULL;
}

int topology_index(Topology *t) {
        MountTree *tree = calloc(1, sizeof(*tree));

        topology_drop_index(t);
        t->mount_tree = tree;
        if (!tree)
                return -ENOMEM;
        tree->by_id = calloc(t->n_mounts + 1, sizeof(*tree->by_id));
        tree->by_place = calloc(t->n_mounts + 1, sizeof(*tree->by_place));
        tree->roots = calloc(t->n_mounts + 1, sizeof(*tree->roots));
        tree->kept = calloc(t->n_mounts + 1, sizeof(*tree->kept));
        if (!tree->by_id || !tree->by_place || !tree->roots || !tree->kept)
                return -ENOMEM;
        tree->n = t->n_mounts;
        for (size_t i = 0; i < t->n_mounts; i++)
                tree->by_id[i] = tree->by_place[i] = &t->mounts[i];
        if (tree->n > 1) {
                qsort(tree->by_id, tree->n, sizeof(*tree->by_id), by_id);
                qsort(tree->by_place, tree->n, sizeof(*tree->by_place), by_place);
        }
        set_parents(t, tree);
        find_roots(tree);
        find_kept(t, tree);
        return topology_index_names(t);
}

typedef struct PlaceKey {
        uint64_t ns, parent_id;
        const char *path;       /* its first `length` characters */
        size_t length;
} PlaceKey;

static int compare_place(const Mount *m, const PlaceKey *k) {
        int c = COMPARE(m->ns, k->ns);

        if (c == 0)
                c = COMPARE(m->parent_id, k->parent_id);
        if (c == 0)
                c = strncmp(m->target ?: "", k->path, k->length);
        return c != 0 ? c : m->target && m->target[k->length] != '\0';
}

static bool place_is_below(const Mount *m, const void *key) {
        return compare_place(m, key) < 0;
}

static const Mount *mount_at(const MountTree *tree, const Mount *on, const char *path, size_t length) {
        const PlaceKey key = { on->ns, on->id, path, length };

        for (size_t i = lower_bound(tree->by_place, tree->n, place_is_below, &key); i < tree->n && compare_place(tree->by_place[i], &key) == 0; i++)
                if (tree->by_place[i] != on)
                        return tree->by_place[i];
        return NULL;
}

/* The mount on `m` that a walk along the path meets first, or NULL. */
static const Mount *mount_on(const MountTree *tree, const Mount *m, const char *path) {
        const Mount *found = mount_at(tree, m, "/", 1);

        for (const char *end = path; !found && *end;) {
                end += 1 + strcspn(end + 1, "/");
                found = mount_at(tree, m, path, (size_t) (end - path));
        }
        return found;
}

const Mount *topology_mount_of_path(const Topology *t, uint64_t ns, const char *path) {
        const MountTree *tree = t->mount_tree;
        if (!tree || path[0] != '/')
                return NULL;

        size_t i = lower_bound(tree->roots, tree->n_roots, root_is_below, &ns);
        const Mount *m = i < tree->n_roots && tree->roots[i]->ns == ns ? tree->roots[i] : NULL;
        for (const Mount *next; m && (next = mount_on(tree, m, path)) && next->depth > m->depth;)
                m = next;
        return m;
}

static int by_depth(const void *a, const void *b) {
        const Mount *x = *(const Mount *const *) a, *y = *(const Mount *const *) b;

        return x->depth != y->depth ? (x->depth < y->depth ? -1 : 1) : x < y ? -1 : x > y;
}

bool mount_ends(const Topology *t, const Mount *m, bool (*goes)(const Mount *m, void *userdata), void *userdata) {
        const Mount *root = m->bottom;

        return m->ns != topology_host_ns(t) && m->pid > 0 && root && streq_ptr(root->target, "/") && goes(root, userdata);
}

static bool add_pair(const Topology *t, const Mount *upper, const Mount *lower, Nesting *ret) {
        const FileSystem *u = topology_file_system(t, upper->dev), *l = topology_file_system(t, lower->dev);

        if (!u || !l || u == l)
                return false;
        *ret = (Nesting) { .mount = upper, .lower = (size_t) (l - t->file_systems), .upper = (size_t) (u - t->file_systems) };
        return true;
}

/* From the bottom up, so that what is nearest below is known of each when those on it come. */
int nested_mounts(const Topology *t, bool (*goes)(const Mount *m, void *userdata), void *userdata, Nesting **ret, size_t *ret_n) {
        _cleanup_free_ const Mount **order = calloc(t->n_mounts + 1, sizeof(*order)), **near = calloc(t->n_mounts + 1, sizeof(*near));
        _cleanup_free_ Nesting *nested = calloc(t->n_mounts + 1, sizeof(*nested));
        size_t n = 0;

        if (!order || !near || !nested)
                return -ENOMEM;
        for (size_t i = 0; i < t->n_mounts; i++)
                order[i] = &t->mounts[i];
        if (t->n_mounts > 1)
                qsort(order, t->n_mounts, sizeof(*order), by_depth);
        for (size_t i = 0; i < t->n_mounts; i++) {
                const Mount *m = order[i], *p = m->parent, *below = !p ? NULL : goes(p, userdata) ? p : near[p - t->mounts];
                near[m - t->mounts] = below;
                if (below && goes(m, userdata) && !m->foreign && !mount_ends(t, m, goes, userdata))
                        n += add_pair(t, m, below, &nested[n]);
        }
        *ret_n = n;
        *ret = TAKE_PTR(nested);
        return 0;
}
