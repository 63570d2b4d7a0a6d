/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a look at a process asks of each thing that it finds, and what it writes down of it. */
#include <errno.h>
#include <sys/sysmacros.h>

#include "holders/scan/scan.h"
#include "kernel/sysfs/fence.h"

enum {
        /* Of one process. A person reads no more, and a step's note must not grow with what a process has open. */
        HOLDS_MAX = 64,
        PATHS_MAX = 64 * 1024, /* bytes of all their paths: whoever has the files open chooses how long those are */
};

bool target_is(const HoldTarget *t, dev_t fs, uint64_t inode, mode_t mode, dev_t rdev) {
        switch (t->kind) {
        case TARGET_FS:
                return t->dev == fs;
        case TARGET_BLOCK:
                return S_ISBLK(mode) && t->dev == rdev;
        case TARGET_CHAR:
                return S_ISCHR(mode) && t->dev == rdev;
        case TARGET_FILE:
                return t->dev == fs && t->inode == inode;
        default:
                return false;
        }
}

int look_mount(Look *l, uint64_t mount_id, dev_t *ret) {
        SeenMounts *mounts = &l->scan->mounts;

        if (!seen_mount(mounts, mount_id) && !l->mounts_learned) {
                l->mounts_learned = true;
                int r = look_note(l, seen_mounts_learn(mounts, look_shared(l)));
                if (r < 0)
                        return r;
        }
        const SeenMount *m = seen_mount(mounts, mount_id);
        if (!m)
                return -ENODATA;
        *ret = m->dev;
        return 0;
}

/* The number of the file system that a file with this st_dev and on this mount is on. A mount that the process cannot see, for
 * the file was handed to it, and nobody else's mountinfo had: then st_dev has to do. */
static int file_system_of(Look *l, dev_t st_dev, uint64_t mount_id, dev_t *ret) {
        SeenMounts *mounts = &l->scan->mounts;

        if (seen_dev(mounts, st_dev, ret))
                return 0;
        int r = look_mount(l, mount_id, ret);
        if (r == -ENODATA)
                *ret = st_dev;
        else if (r >= 0)
                r = seen_dev_add(mounts, st_dev, *ret);
        return r == -ENODATA ? 0 : r;
}

int look_file_system(Look *l, const struct statx *st, dev_t *ret) {
        *ret = makedev(st->stx_dev_major, st->stx_dev_minor);
        return l->scan->wants_anonymous && major(*ret) == 0 ? file_system_of(l, *ret, st->stx_mnt_id, ret) : 0;
}

int look_note_as(Look *l, GapKind kind, int error) {
        if (error == -ENOMEM)
                return error;
        if (error < 0 && error != -ENOENT && error != -ESRCH)
                gap_note(&l->scan->holders.gaps, kind, l->pid, error);
        return 0;
}

bool look_is_refused(const Gaps *g, GapKind kind) {
        return g->of[kind].n > 0 && (g->of[kind].error == -EACCES || g->of[kind].error == -EPERM);
}

int look_note(Look *l, int error) {
        return look_note_as(l, error == -ETIME ? GAP_TIME : GAP_PROCESS, error);
}

int look_add(Look *l, HoldWay way, size_t target, const char *path, const char *found, uint64_t bytes) {
        _cleanup_free_ char *name = path ? fence_known_name(path) : NULL, *found_copy = strdup(found);
        size_t length = name ? strlen(name) : 0;
        Holder *h = &l->holder;

        if ((path && !name) || !found_copy)
                return -ENOMEM;
        for (size_t i = 0; i < h->n_holds; i++) {
                if (h->holds[i].way == way && h->holds[i].target == target && streq_ptr(h->holds[i].path, name)) {
                        h->holds[i].bytes += bytes;
                        return 0;
                }
                length += h->holds[i].path ? strlen(h->holds[i].path) : 0;
        }
        if (h->n_holds >= HOLDS_MAX || (h->n_holds > 0 && length > PATHS_MAX)) {
                h->n_more_holds++;
                return 0;
        }

        int r = vec_grow((void **) &h->holds, h->n_holds, &h->n_holds_allocated, sizeof(Hold));
        if (r < 0)
                return r;
        h->holds[h->n_holds++] = (Hold) {
                .way = way,
                .target = target,
                .path = TAKE_PTR(name),
                .found = TAKE_PTR(found_copy),
                .bytes = bytes,
        };
        return 0;
}

enum {
        PLACES_MIN = 256,
};

void node_cache_done(NodeCache *c) {
        free(c->places);
        *c = (NodeCache) { 0 };
}

/* Where it is, or where it would be. There always is an empty place. */
static Node *place_of(Node *places, size_t n_places, dev_t dev, uint64_t inode) {
        uint64_t hash = (inode ^ (uint64_t) dev << 40) * UINT64_C(0x9e3779b97f4a7c15);

        for (size_t i = hash >> 32;; i++) {
                Node *n = &places[i & (n_places - 1)];
                if (n->type == 0 || (n->dev == dev && n->inode == inode))
                        return n;
        }
}

const Node *node_cache_find(const NodeCache *c, dev_t dev, uint64_t inode) {
        if (c->n_places == 0)
                return NULL;
        const Node *n = place_of(c->places, c->n_places, dev, inode);
        return n->type != 0 ? n : NULL;
}

static int grow(NodeCache *c) {
        size_t want = c->n_places > 0 ? c->n_places * 2 : PLACES_MIN;

        Node *places = calloc(want, sizeof(*places));
        if (!places)
                return -ENOMEM;
        for (size_t i = 0; i < c->n_places; i++)
                if (c->places[i].type != 0)
                        *place_of(places, want, c->places[i].dev, c->places[i].inode) = c->places[i];
        free(c->places);
        c->places = places;
        c->n_places = want;
        return 0;
}

int node_cache_put(NodeCache *c, const Node *node) {
        if (c->n * 2 >= c->n_places) {
                int r = grow(c);
                if (r < 0)
                        return r;
        }
        Node *place = place_of(c->places, c->n_places, node->dev, node->inode);
        c->n += place->type == 0;
        *place = *node;
        return 0;
}
