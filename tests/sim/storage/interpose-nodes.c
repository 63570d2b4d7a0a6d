/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* System calls about device nodes, and what is said of the files below /mnt (interpose-mounts.c). */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "interpose.h"
#include "shared.h"
#include "sim.h"
#include "storage/interpose-mounts.h"
#include "storage/nodes.h"
#include "users/process.h"

static bool is_on_dev(dev_t dev) {
        struct stat st;

        return shared() && REAL(stat)("/dev", &st) == 0 && st.st_dev == dev;
}

static int tell(int r, struct stat *st) {
        unsigned major, minor;
        char kind;

        if (r < 0 || !S_ISREG(st->st_mode) || interposed_inside || !is_on_dev(st->st_dev) || !node_number(st->st_ino, &kind, &major, &minor))
                return r;
        st->st_mode = (st->st_mode & ~(mode_t) S_IFMT) | (kind == 'b' ? S_IFBLK : S_IFCHR);
        st->st_rdev = makedev(major, minor);
        return r;
}

/* The same structure by both names. */
#define STAT(name, parameters, ...)                                \
        int name parameters {                                      \
                return tell(REAL(name)(__VA_ARGS__), (struct stat *) ret); \
        }

STAT(stat, (const char *path, struct stat *ret), path, ret)
STAT(stat64, (const char *path, struct stat64 *ret), path, ret)
STAT(lstat, (const char *path, struct stat *ret), path, ret)
STAT(lstat64, (const char *path, struct stat64 *ret), path, ret)
STAT(fstatat, (int dirfd, const char *path, struct stat *ret, int flags), dirfd, path, ret, flags)
STAT(fstatat64, (int dirfd, const char *path, struct stat64 *ret, int flags), dirfd, path, ret, flags)

/* What a descriptor of a namespace says of itself, too. */
int fstat(int fd, struct stat *ret) {
        int r = tell(REAL(fstat)(fd, ret), ret);

        if (r == 0 && !interposed_inside)
                mount_stat(fd, ret);
        return r;
}

int fstat64(int fd, struct stat64 *ret) {
        return fstat(fd, (struct stat *) ret);
}

static bool is_below_mnt(const struct statx *s) {
        struct stat st;

        return shared() && REAL(stat)("/mnt", &st) == 0 && st.st_dev == makedev(s->stx_dev_major, s->stx_dev_minor);
}

int statx(int dirfd, const char *path, int flags, unsigned mask, struct statx *ret) {
        unsigned major, minor;
        char kind;

        int r = REAL(statx)(dirfd, path, flags, mask, ret);
        if (r == 0 && !interposed_inside && is_below_mnt(ret)) {
                uint64_t id;
                if (mount_statx(dirfd, path, flags, &major, &minor, &id)) {
                        ret->stx_dev_major = major;
                        ret->stx_dev_minor = minor;
                        ret->stx_mnt_id = id;
                }
                return r;
        }
        if (r < 0 || !S_ISREG(ret->stx_mode) || interposed_inside || !is_on_dev(makedev(ret->stx_dev_major, ret->stx_dev_minor)) ||
            !node_number(ret->stx_ino, &kind, &major, &minor))
                return r;
        ret->stx_mode = (uint16_t) ((ret->stx_mode & ~S_IFMT) | (kind == 'b' ? S_IFBLK : S_IFCHR));
        ret->stx_rdev_major = major;
        ret->stx_rdev_minor = minor;
        return r;
}

typedef struct Rename {
        int from_dirfd, to_dirfd;
        const char *from, *to;
        unsigned flags;
} Rename;

static int rename_node(void *userdata) {
        const Rename *r = userdata;

        if (REAL(renameat2)(r->from_dirfd, r->from, r->to_dirfd, r->to, r->flags) < 0)
                return -errno;
        process_files_follow(r->from, r->to);
        return 0;
}

int renameat2(int from_dirfd, const char *from, int to_dirfd, const char *to, unsigned flags) {
        char what[2 * PATH_MAX + 16];
        Rename r = { .from_dirfd = from_dirfd, .to_dirfd = to_dirfd, .from = from, .to = to, .flags = flags };

        if (interposed_inside || !shared() || strncmp(from, "/dev/", 5) != 0)
                return REAL(renameat2)(from_dirfd, from, to_dirfd, to, flags);
        (void) snprintf(what, sizeof(what), "rename %s to %s", from, to);
        return interposed_call_at_once(what, rename_node, &r);
}
