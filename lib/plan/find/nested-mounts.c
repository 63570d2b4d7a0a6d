/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "plan/find/nested-mounts.h"

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
