/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "holders/scan.h"

enum {
        ENTRIES_SIZE = 32 * 1024,
};

/* A file system whose server is gone must not hang us: what the kernel knows by itself is enough, the device numbers are
 * there whatever is asked for. */
static int look_at_link(Look *l, HoldWay way, const char *link) {
        struct statx st;

        if (statx(l->dirfd, link, AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, STATX_TYPE, &st) < 0)
                return errno == ENOENT ? 0 : -errno;

        const HoldTargets *targets = l->scan->targets;
        dev_t fs = makedev(st.stx_dev_major, st.stx_dev_minor), rdev = makedev(st.stx_rdev_major, st.stx_rdev_minor);
        for (size_t i = 0; i < targets->n_items; i++) {
                if (!target_is(&targets->items[i], fs, st.stx_mode, rdev))
                        continue;
                _cleanup_free_ char *found = strf("/proc/%d/%s", l->pid, link);
                int r = found ? look_add(l, way, i, link, found, 0) : -ENOMEM;
                if (r < 0)
                        return r;
        }
        return 0;
}

static int look_at_descriptor(Look *l, const char *name) {
        char link[sizeof("fd/") + sizeof(((struct dirent64 *) NULL)->d_name)];

        if (name[0] < '0' || name[0] > '9')
                return 0;
        stpcpy(stpcpy(link, "fd/"), name);
        return look_at_link(l, HOLD_DESCRIPTOR, link);
}

static int look_at_descriptors(Look *l) {
        _Alignas(struct dirent64) char entries[ENTRIES_SIZE];
        int result = 0;

        _cleanup_close_ int fd = openat(l->dirfd, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
                return errno == ENOENT ? 0 : -errno;

        for (;;) {
                ssize_t n = getdents64(fd, entries, sizeof(entries));
                if (n < 0)
                        return errno == ENOENT ? result : -errno;
                if (n == 0)
                        return result;
                for (ssize_t at = 0; at < n;) {
                        const struct dirent64 *e = (const void *) (entries + at);

                        int r = look_at_descriptor(l, e->d_name);
                        if (r == -ENOMEM)
                                return r;
                        if (r < 0 && result == 0)
                                result = r;
                        at += e->d_reclen;
                }
        }
}

int look_at_files(Look *l) {
        static const struct {
                HoldWay way;
                const char *link;
        } folders[] = {
                { HOLD_CWD,     "cwd"  },
                { HOLD_ROOT,    "root" },
                { HOLD_PROGRAM, "exe"  },
        };
        int result = 0;

        for (size_t i = 0; i < ELEMENTSOF(folders) && l->scan->wants[TARGET_FS]; i++) {
                int r = look_at_link(l, folders[i].way, folders[i].link);
                if (r == -ENOMEM)
                        return r;
                if (r < 0 && result == 0)
                        result = r;
        }
        int r = look_at_descriptors(l);
        return r < 0 ? r : result;
}
