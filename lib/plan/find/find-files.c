/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Whose the page cache on a node is: the largest files, as far as the kernel's memory may be read. They move or are dropped; but who
 * wants the node empty beforehand has to know whom to ask. */
#include <errno.h>
#include <sys/sysmacros.h>

#include "base/clock.h"
#include "kernel/pages/page-cache.h"
#include "plan/find/blockers.h"

enum {
        FILES_MAX = 5,
};

/* Below that nobody is asked, and the look is spared. */
#define WORTH_A_LOOK (UINT64_C(1) << 20)

static char *path_below(const Mount *m, const char *path) {
        const char *root = streq(m->root, "/") ? "" : m->root, *rest = startswith(path, root);

        if (!rest || (*rest != '/' && *rest))
                return NULL;
        return strf("%s%s", streq(m->target, "/") ? "" : m->target, rest);
}

/* Where the first of its mounts has it; what is mounted nowhere, or has no name, has NULL. Newly allocated. */
static char *path_of(const Topology *t, const CachedFile *file) {
        for (size_t i = 0; file->path && i < t->n_mounts; i++) {
                char *path = t->mounts[i].dev == file->dev ? path_below(&t->mounts[i], file->path) : NULL;
                if (path)
                        return path;
        }
        return NULL;
}

static json_object *file_json(const Topology *t, const CachedFile *file) {
        _cleanup_free_ char *path = path_of(t, file);
        json_object *o = json_object_new_object();

        json_set_str(o, "path", path);
        json_set_strf(o, "dev", "%u:%u", major(file->dev), minor(file->dev));
        json_set_u64(o, "inode", file->inode);
        json_set_u64(o, "bytes", file->bytes);
        return o;
}

static int count_blocks(const Findings *f, const Node *node, PageCache *cache) {
        uint64_t budget = f->request->policy->holder_scan_usec, deadline = budget > 0 ? now_monotonic() + budget : UINT64_MAX;
        int r = 0;

        for (size_t i = 0; i < f->t->n_blocks && r >= 0 && now_monotonic() < deadline; i++) {
                const MemoryBlock *b = &f->t->blocks[i];
                if (b->online && b->node == node->id && scope_has_block(f->s, f->t, b))
                        r = page_cache_count(cache, b->start, f->t->block_size);
        }
        return r;
}

int find_files(const Findings *f, const Node *node, uint64_t bytes, json_object *to) {
        _cleanup_(page_cache_freep) PageCache *cache = NULL;
        _cleanup_free_ char *why = NULL;
        CachedFiles files = { 0 };

        json_set(to, "files", NULL);
        if (bytes < WORTH_A_LOOK || page_cache_open(&cache, &why) < 0 || count_blocks(f, node, cache) < 0)
                return 0;
        int r = page_cache_largest(cache, FILES_MAX, &files);
        if (r < 0)
                return r == -ENOMEM ? r : 0;
        json_object *array = json_object_new_array();
        for (size_t i = 0; i < files.n; i++)
                json_object_array_add(array, file_json(f->t, &files.items[i]));
        json_set(to, "files", array);
        cached_files_done(&files);
        return 0;
}
