/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Files that a process has given to an io_uring and closed itself: the ring has them open, and no descriptor shows it. The kernel names
 * them in the ring's fdinfo (io_uring/fdinfo.c), by path, or, as 6.12 does, by the last component alone. A device is found by that too; a
 * file of a mounted file system is not, and keeps it from being unmounted:
 *
 *      UserFiles:      2
 *          0: /dev/nvme0n1
 *          1: <none>
 *
 * Newer kernels have no line for a place that is empty. A ring that is busy just then has the number and no lines, or tells nothing at all. */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <linux/openat2.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

#include "base/clock.h"
#include "base/fileio.h"
#include "base/parse.h"
#include "holders/scan/scan.h"
#include "kernel/sysfs/escape.h"

enum {
        LINES_PER_CLOCK = 256,
        LOOKUPS_MAX = 3,        /* one may fail because somebody renames something just then */
};

static const char *last_component(const char *path) {
        const char *slash = strrchr(path, '/');

        return slash ? slash + 1 : path;
}

/* Where the path leads to nothing any more, or is none: by the name of the device's node. A deleted file keeps its file system from being
 * unmounted. */
static bool is_named(const HoldTarget *t, const char *path) {
        const char *name = last_component(t->name), *rest = startswith(last_component(path), name);

        return (t->kind == TARGET_BLOCK || t->kind == TARGET_CHAR) && rest && (*rest == '\0' || streq(rest, " (deleted)"));
}

/* Only as far as the kernel knows the way without asking: a folder on it may be of a file system whose server is the process itself, and
 * never answers. The file is open, so that all of its way is known, as long as no server wants to be asked each time. */
static bool look_up(int process, const char *path, struct statx *ret) {
        _cleanup_close_ int root = openat(process, "root", O_PATH | O_DIRECTORY | O_CLOEXEC);

        for (unsigned n = 0; root >= 0 && n < LOOKUPS_MAX; n++) {
                _cleanup_close_ int fd = open_resolved(root, path + strspn(path, "/"), O_PATH | O_NOFOLLOW, RESOLVE_CACHED);
                if (fd >= 0)
                        return statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, STATX_TYPE | STATX_INO | STATX_MNT_ID, ret) >= 0;
                if (fd != -EAGAIN)
                        break;
        }
        return false;
}

/* The path is one in the process's own namespace. It is real: nothing on it is a link. */
static int add_registered(const ThreadLook *t, const char *ring, const char *path) {
        _cleanup_free_ char *found = strf("/proc/%d/%sfdinfo/%s", t->look->pid, t->name, ring);
        const Scan *s = t->look->scan;
        struct statx st;

        if (!found)
                return -ENOMEM;
        bool is_there = *path == '/' && look_up(t->dirfd, path, &st);
        dev_t fs = 0;
        int r = is_there ? look_file_system(t->look, &st, &fs) : 0;
        for (size_t i = 0; i < s->targets->n_items && r >= 0; i++) {
                const HoldTarget *target = &s->targets->items[i];
                bool is_it = is_there ? target_is(target, fs, st.stx_ino, st.stx_mode, makedev(st.stx_rdev_major, st.stx_rdev_minor))
                                      : is_named(target, path);
                r = is_it ? look_add(t->look, HOLD_DESCRIPTOR, i, path, found, 0) : 0;
        }
        return r;
}

/* "    0: /dev/nvme0n1", which has its escapes undone; NULL where it names none. */
static const char *path_of_line(char *line) {
        char *number = line + strspn(line, " "), *end = number + strspn(number, "0123456789");

        if (end == number || !startswith(end, ": ") || streq(end + 2, "<none>"))
                return NULL;
        octal_unescape(end + 2);
        return end + 2;
}

/* Whether this kernel has a line for an empty place: it is asked of a ring of our own, which nobody keeps busy. Where we may have none, it
 * may have. */
static bool has_lines_for_empty = true;

static void ask_kernel(void) {
        struct io_uring_params params = { 0 };
        _cleanup_free_ char *path = NULL, *text = NULL;

        _cleanup_close_ int ring = (int) syscall(SYS_io_uring_setup, 1, &params);
        if (ring < 0 || syscall(SYS_io_uring_register, ring, IORING_REGISTER_FILES, (int[]) { -1 }, 1) < 0)
                return;
        path = strf("/proc/thread-self/fdinfo/%d", ring);
        if (path && read_file(path, &text, NULL) >= 0 && strstr(text, "UserFiles:\t1\n"))
                has_lines_for_empty = strstr(text, "<none>") != NULL;
}

static bool may_be_empty(void) {
        static pthread_once_t once = PTHREAD_ONCE_INIT;

        (void) pthread_once(&once, ask_kernel);
        return !has_lines_for_empty;
}

static int look_at_lines(const ThreadLook *t, const char *ring, FILE *f) {
        _cleanup_free_ char *line = NULL;
        uint64_t n_files = 0, n_lines = 0;
        bool inside = false;
        size_t size = 0;

        for (ssize_t n; (n = getline(&line, &size, f)) > 0;) {
                line[n - 1] = line[n - 1] == '\n' ? '\0' : line[n - 1];
                const char *number = startswith(line, "UserFiles:\t");
                if (!inside) {
                        inside = number && parse_u64(number, &n_files) >= 0;
                        continue;
                }
                if (!isspace((unsigned char) *line))
                        break;
                const char *path = path_of_line(line);
                int r = path ? add_registered(t, ring, path) : 0;
                if (r < 0)
                        return r;
                if (++n_lines % LINES_PER_CLOCK == 0 && now_monotonic() >= t->look->scan->deadline)
                        return look_note(t->look, -ETIME);
        }
        bool told = inside && (n_files == 0 || n_lines > 0 || may_be_empty());
        return told ? 0 : look_note_as(t->look, GAP_FILE, -EBUSY);
}

int look_at_ring(const ThreadLook *t, int at, const char *name) {
        _cleanup_free_ char *what = NULL, *info = strf("fdinfo/%s", name);

        int r = info ? read_link_at(at, name, &what) : -ENOMEM;
        if (r < 0 || !streq(what, "anon_inode:[io_uring]"))
                return r < 0 ? look_note(t->look, r) : 0;
        int fd = openat(t->dirfd, info, O_RDONLY | O_CLOEXEC);
        _cleanup_fclose_ FILE *f = fd >= 0 ? fdopen(fd, "re") : NULL;
        if (!f) {
                r = -errno;
                closep(&fd);
                return look_note(t->look, r);
        }
        return look_at_lines(t, name, f);
}
