/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/sysmacros.h>

#include "base/clock.h"
#include "base/fileio.h"
#include "holders/scan/dead-file.h"
#include "holders/scan/scan.h"

enum {
        ENTRIES_SIZE = 32 * 1024,
};

static int add_file(const ThreadLook *t, int at, const char *folder, const char *name, HoldWay way, size_t target) {
        _cleanup_free_ char *path = NULL, *found = strf("/proc/%d/%s%s%s", t->look->pid, t->name, folder, name);

        if (!found)
                return -ENOMEM;
        if (read_link_at(at, name, &path) == -ENOMEM)
                return -ENOMEM;
        return look_add(t->look, way, target, path, found, 0);
}

static int add_socket(const ThreadLook *t, const char *folder, const char *name, uint64_t inode) {
        Look *l = t->look;

        if (!l->sockets_learned) {
                l->sockets_learned = true;
                int r = look_note_as(l, GAP_NETWORK, bound_sockets_learn(&l->scan->sockets, l->scan->targets, look_shared(l)));
                if (r < 0)
                        return r;
        }
        const BoundSocket *s = bound_socket(&l->scan->sockets, inode);
        if (!s)
                return 0;
        _cleanup_free_ char *found = strf("/proc/%d/%s%s%s socket", l->pid, t->name, folder, name);
        return found ? look_add(l, HOLD_DESCRIPTOR, s->target, s->path, found, 0) : -ENOMEM;
}

/* A file of a file system that is shut down, or answers somebody else alone. Who has it open holds that, whatever the file is. */
static int look_at_dead(const ThreadLook *t, int at, const char *folder, const char *name, HoldWay way) {
        const Scan *s = t->look->scan;
        bool is_held = false;
        DeadFile file;
        dev_t fs;

        int r = dead_file_look(at, name, &file);
        if (r >= 0 && file.dev == 0)
                r = look_mount(t->look, file.mount_id, &fs);
        else
                fs = file.dev;
        if (r < 0)
                return look_note_as(t->look, GAP_FILE, r);
        for (size_t i = 0; i < s->targets->n_items; i++) {
                if (s->targets->items[i].kind != TARGET_FS || s->targets->items[i].dev != fs)
                        continue;
                r = add_file(t, at, folder, name, way, i);
                if (r < 0)
                        return r;
                is_held = true;
        }
        return is_held || !file.special || !(s->wants[TARGET_BLOCK] || s->wants[TARGET_CHAR]) ? 0 : look_note_as(t->look, GAP_FILE, -EIO);
}

/* A file system whose server is gone must not hang us: what the kernel knows by itself is enough, the device numbers are
 * there whatever is asked for. */
static int look_at_link(const ThreadLook *t, int at, const char *folder, const char *name, HoldWay way) {
        const Scan *s = t->look->scan;
        struct statx st;

        if (statx(at, name, AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, STATX_TYPE | STATX_INO | STATX_MNT_ID, &st) < 0)
                return file_is_dead(-errno) ? look_at_dead(t, at, folder, name, way) : look_note_as(t->look, GAP_FILE, -errno);
        if (S_ISSOCK(st.stx_mode) && s->wants[TARGET_FS]) {
                int r = add_socket(t, folder, name, st.stx_ino);
                if (r < 0)
                        return r;
        }

        if ((st.stx_mode & S_IFMT) == 0 && way == HOLD_DESCRIPTOR) {
                int r = look_at_ring(t, at, name);
                if (r < 0)
                        return r;
        }

        dev_t fs, rdev = makedev(st.stx_rdev_major, st.stx_rdev_minor);
        int r = look_file_system(t->look, &st, &fs);
        for (size_t i = 0; i < s->targets->n_items && r >= 0; i++)
                r = target_is(&s->targets->items[i], fs, st.stx_ino, st.stx_mode, rdev) ? add_file(t, at, folder, name, way, i) : 0;
        return r;
}

static int look_at_entries(const ThreadLook *t, int fd, const char *entries, size_t size) {
        for (size_t at = 0; at < size;) {
                const struct dirent64 *e = (const void *) (entries + at);

                if (e->d_name[0] != '.') {
                        int r = look_at_link(t, fd, "fd/", e->d_name, HOLD_DESCRIPTOR);
                        if (r < 0)
                                return r;
                }
                at += e->d_reclen;
        }
        return 0;
}

int look_at_descriptors(const ThreadLook *t) {
        _Alignas(struct dirent64) char entries[ENTRIES_SIZE];

        _cleanup_close_ int fd = openat(t->dirfd, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
                return look_note(t->look, -errno);

        for (;;) {
                ssize_t n = getdents64(fd, entries, sizeof(entries));
                if (n < 0)
                        return look_note(t->look, -errno);
                if (n == 0)
                        return 0;
                int r = look_at_entries(t, fd, entries, (size_t) n);
                if (r < 0)
                        return r;
                /* It stops before the end for want of room alone (fs/proc/fd.c:proc_readfd_common()). */
                if ((size_t) n < sizeof(entries) / 2)
                        return 0;
                if (now_monotonic() >= t->look->scan->deadline)
                        return look_note(t->look, -ETIME);
        }
}

/* Folders and programs are on file systems only. */
int look_at_folders(const ThreadLook *t) {
        if (!t->look->scan->wants[TARGET_FS])
                return 0;
        int r = look_at_link(t, t->dirfd, "", "cwd", HOLD_CWD);
        return r < 0 ? r : look_at_link(t, t->dirfd, "", "root", HOLD_ROOT);
}

int look_at_program(const ThreadLook *t) {
        return t->look->scan->wants[TARGET_FS] ? look_at_link(t, t->dirfd, "", "exe", HOLD_PROGRAM) : 0;
}
