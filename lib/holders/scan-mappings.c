/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "holders/maps.h"
#include "holders/scan.h"

static int add_mapping(Look *l, const Mapping *m, size_t target) {
        _cleanup_free_ char *link = strf("map_files/%" PRIx64 "-%" PRIx64, m->start, m->end);
        _cleanup_free_ char *found = strf("/proc/%d/maps %" PRIx64 "-%" PRIx64 " %s", l->pid, m->start, m->end, m->permissions);

        return link && found ? look_add(l, HOLD_MAPPING, target, link, found, m->end - m->start) : -ENOMEM;
}

/* The numbers in maps are those of the device's node, wherever that lies: which device it is only its inode says. */
static int look_at_node(Look *l, const Mapping *m) {
        const HoldTargets *targets = l->scan->targets;
        struct statx st;

        _cleanup_free_ char *link = strf("map_files/%" PRIx64 "-%" PRIx64, m->start, m->end);
        if (!link)
                return -ENOMEM;
        if (statx(l->dirfd, link, AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, STATX_TYPE, &st) < 0)
                return errno == ENOENT ? 0 : -errno;
        for (size_t i = 0; i < targets->n_items; i++)
                if (targets->items[i].kind != TARGET_FS &&
                    target_is(&targets->items[i], 0, st.stx_mode, makedev(st.stx_rdev_major, st.stx_rdev_minor))) {
                        int r = add_mapping(l, m, i);
                        if (r < 0)
                                return r;
                }
        return 0;
}

static int look_at_mapping(const Mapping *m, void *userdata) {
        Look *l = userdata;
        const HoldTargets *targets = l->scan->targets;

        for (size_t i = 0; i < targets->n_items; i++)
                if (targets->items[i].kind == TARGET_FS && targets->items[i].dev == m->dev) {
                        int r = add_mapping(l, m, i);
                        if (r < 0)
                                return r;
                }
        return l->scan->wants[TARGET_BLOCK] || l->scan->wants[TARGET_CHAR] ? look_at_node(l, m) : 0;
}

int look_at_mappings(Look *l) {
        _cleanup_close_ int fd = openat(l->dirfd, "maps", O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return -errno;
        return maps_each_text(fd, look_at_mapping, l);
}
