/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/sysmacros.h>

#include "base/clock.h"
#include "holders/scan/dead-file.h"
#include "holders/scan/scan.h"

enum {
        MAPPINGS_PER_CLOCK = 256,
};

typedef struct MapsLook {
        const ThreadLook *thread;
        int fd;                 /* /proc/PID/maps */
        size_t n;               /* that were looked at */
} MapsLook;

static int add_mapping(const MapsLook *ml, const Mapping *m, size_t target) {
        const ThreadLook *t = ml->thread;
        _cleanup_free_ char *path = NULL;
        _cleanup_free_ char *found = strf("/proc/%d/%smaps %s", t->look->pid, t->name, m->permissions); /* where it lies is the process's secret */

        if (!found)
                return -ENOMEM;
        if (maps_path(ml->fd, m, &path) == -ENOMEM)
                return -ENOMEM;
        return look_add(t->look, HOLD_MAPPING, target, path, found, m->end - m->start);
}

/* An inode number of an overlay may stand for several files, one of each layer. (Elsewhere one may be given to a new file after
 * the old one is gone; not while it is mapped, and the next scan begins anew.) */
static int may_be_cached(Look *l, dev_t dev, bool *ret) {
        if (major(dev) == 0 && !l->mounts_learned) {
                l->mounts_learned = true;
                int r = look_note(l, seen_mounts_learn(&l->scan->mounts, look_shared(l)));
                if (r < 0)
                        return r;
        }
        *ret = !seen_mounts_overlay(&l->scan->mounts, dev);
        return 0;
}

/* The numbers in maps are those of the device's node, wherever that lies (/dev, a container's own): which device it is only the
 * node says. */
static int read_node(const MapsLook *ml, const Mapping *m, Node *ret) {
        Look *l = ml->thread->look;
        struct statx st;

        _cleanup_free_ char *link = strf("map_files/%" PRIx64 "-%" PRIx64, m->start, m->end);
        if (!link)
                return -ENOMEM;
        if (statx(look_shared(l), link, AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, STATX_TYPE, &st) < 0) {
                int error = -errno;
                DeadFile file;
                bool plain = file_is_dead(error) && dead_file_look(look_shared(l), link, &file) >= 0 && !file.special;
                if (!plain)
                        return error;
                st.stx_mode = S_IFREG;
                st.stx_rdev_major = st.stx_rdev_minor = 0;
        }
        *ret = (Node) {
                .dev = m->dev,
                .inode = m->inode,
                .type = st.stx_mode & S_IFMT,
                .rdev = makedev(st.stx_rdev_major, st.stx_rdev_minor),
        };
        return 0;
}

static int find_node(const MapsLook *ml, const Mapping *m, Node *ret) {
        Scan *s = ml->thread->look->scan;
        bool cached;

        const Node *known = node_cache_find(&s->nodes, m->dev, m->inode);
        if (known) {
                *ret = *known;
                return 0;
        }
        int r = read_node(ml, m, ret);
        if (r >= 0)
                r = may_be_cached(ml->thread->look, m->dev, &cached);
        return r < 0 || !cached ? r : node_cache_put(&s->nodes, ret);
}

/* Of these the inode alone does not tell. */
static bool is_node(const HoldTarget *t) {
        return t->kind == TARGET_BLOCK || t->kind == TARGET_CHAR;
}

static int look_at_node(const MapsLook *ml, const Mapping *m) {
        const HoldTargets *targets = ml->thread->look->scan->targets;
        Node node;

        int r = find_node(ml, m, &node);
        if (r < 0)
                return look_note(ml->thread->look, r);
        for (size_t i = 0; i < targets->n_items && (S_ISCHR(node.type) || S_ISBLK(node.type)); i++) {
                r = is_node(&targets->items[i]) && target_is(&targets->items[i], 0, 0, node.type, node.rdev) ? add_mapping(ml, m, i) : 0;
                if (r < 0)
                        return r;
        }
        return 0;
}

static int look_at_mapping(const Mapping *m, void *userdata) {
        MapsLook *ml = userdata;
        const Scan *s = ml->thread->look->scan;

        if (++ml->n % MAPPINGS_PER_CLOCK == 0 && now_monotonic() >= s->deadline)
                return -ETIME;
        for (size_t i = 0; i < s->targets->n_items && (s->wants[TARGET_FS] || s->wants[TARGET_FILE]); i++) {
                const HoldTarget *target = &s->targets->items[i];

                int r = !is_node(target) && target_is(target, m->dev, m->inode, 0, 0) ? add_mapping(ml, m, i) : 0;
                if (r < 0)
                        return r;
        }
        return s->wants[TARGET_BLOCK] || s->wants[TARGET_CHAR] ? look_at_node(ml, m) : 0;
}

int look_at_mappings(const ThreadLook *t) {
        _cleanup_close_ int fd = openat(t->dirfd, "maps", O_RDONLY | O_CLOEXEC);
        MapsLook ml = { .thread = t, .fd = fd };

        int r = fd < 0 ? -errno : maps_each(fd, &t->look->scan->maps_way, look_at_mapping, &ml);
        if (r == -ESRCH)
                return 0;
        r = look_note(t->look, r);
        return r < 0 ? r : 1;
}
