/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/fileio.h"
#include "base/parse.h"
#include "kernel/process/cgroup.h"

enum {
        DEPTH_MAX = 32,
};

/* Where the old hierarchies are mounted too, the unified one is among them. */
static const char *hierarchy(void) {
        static const char *const folders[] = { "/sys/fs/cgroup", "/sys/fs/cgroup/unified" };

        for (size_t i = 0; i < ELEMENTSOF(folders); i++) {
                _cleanup_free_ char *procs = strf("%s/cgroup.procs", folders[i]);
                if (procs && access(procs, F_OK) == 0)
                        return folders[i];
        }
        return NULL;
}

static bool leads_out(const char *cgroup) {
        for (const char *p = cgroup; (p = strstr(p, "/..")); p++)
                if (p[3] == '/' || p[3] == '\0')
                        return true;
        return *cgroup != '/';
}

static int group_open(const char *cgroup, int *ret_fd) {
        const char *root = hierarchy();

        if (!root)
                return -ENOENT;
        if (leads_out(cgroup))
                return -EINVAL;
        _cleanup_free_ char *path = strf("%s%s", root, cgroup);
        if (!path)
                return -ENOMEM;
        int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
                return -errno;
        *ret_fd = fd;
        return 0;
}

/* A group that is taken away while we look gives -ENODEV for its files: it is gone. */
static int gone(int error) {
        return error == -ENODEV ? -ENOENT : error;
}

int cgroup_freeze(const char *cgroup, bool freeze) {
        _cleanup_close_ int dirfd = -EBADF, fd = -EBADF;

        int r = group_open(cgroup, &dirfd);
        if (r < 0)
                return r;
        fd = openat(dirfd, "cgroup.freeze", O_WRONLY | O_CLOEXEC);
        if (fd < 0 || write(fd, freeze ? "1" : "0", 1) != 1)
                return gone(-errno);
        return 0;
}

int cgroup_asked_to_freeze(const char *cgroup) {
        _cleanup_close_ int dirfd = -EBADF;
        _cleanup_free_ char *text = NULL;

        int r = group_open(cgroup, &dirfd);
        if (r >= 0)
                r = gone(read_file_at(dirfd, "cgroup.freeze", &text, NULL));
        return r < 0 ? r : *text == '1';
}

int cgroup_id(const char *cgroup, uint64_t *ret) {
        _cleanup_close_ int dirfd = -EBADF;
        struct stat st;

        int r = group_open(cgroup, &dirfd);
        if (r < 0)
                return r;
        if (fstat(dirfd, &st) < 0)
                return -errno;
        *ret = st.st_ino;
        return 0;
}

/* "populated 1\nfrozen 0\n" */
static int frozen_in(const char *events) {
        for (const char *line = events; line; line = strchr(line, '\n')) {
                line += *line == '\n';
                const char *value = startswith(line, "frozen ");
                if (value)
                        return *value == '1';
        }
        return -EBADMSG;
}

static int events_read(int fd) {
        char text[256];

        ssize_t n = pread(fd, text, sizeof(text) - 1, 0);
        if (n < 0)
                return gone(-errno);
        text[n] = '\0';
        return frozen_in(text);
}

static int events_open(const char *cgroup, int *ret_fd) {
        _cleanup_close_ int dirfd = -EBADF;

        int r = group_open(cgroup, &dirfd);
        if (r < 0)
                return r;
        int fd = openat(dirfd, "cgroup.events", O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return -errno;
        *ret_fd = fd;
        return 0;
}

int cgroup_is_frozen(const char *cgroup) {
        _cleanup_close_ int fd = -EBADF;

        int r = events_open(cgroup, &fd);
        return r < 0 ? r : events_read(fd);
}

/* The file is readable always; a change since it was read is an exceptional condition (kernfs_notify()). */
int cgroup_wait_frozen(const char *cgroup, bool frozen, uint64_t timeout_usec) {
        uint64_t deadline = now_monotonic() + timeout_usec;
        _cleanup_close_ int fd = -EBADF;

        int r = events_open(cgroup, &fd);
        if (r < 0)
                return r;
        for (;;) {
                struct pollfd p = { .fd = fd, .events = POLLPRI };
                int now_frozen = events_read(fd);
                uint64_t now = now_monotonic();

                if (now_frozen < 0)
                        return now_frozen;
                if ((now_frozen > 0) == frozen)
                        return 0;
                if (now >= deadline)
                        return -ETIME;
                uint64_t left = (deadline - now) / USEC_PER_MSEC + 1;
                if (poll(&p, 1, left > INT32_MAX ? INT32_MAX : (int) left) < 0 && errno != EINTR)
                        return -errno;
        }
}

typedef struct Pids {
        int *items;
        size_t n, allocated;
} Pids;

static void pids_done(Pids *p) {
        free(p->items);
}

static int pids_add(Pids *p, char *text) {
        for (char *line; (line = strsep(&text, "\n"));) {
                uint64_t pid;

                if (!*line)
                        continue;
                if (parse_u64(line, &pid) < 0 || pid > INT32_MAX)
                        return -EBADMSG;
                int r = vec_grow((void **) &p->items, p->n, &p->allocated, sizeof(int));
                if (r < 0)
                        return r;
                p->items[p->n++] = (int) pid;
        }
        return 0;
}

/* Takes over fd. */
static int pids_collect(Pids *p, int fd, unsigned depth) {
        _cleanup_free_ char *text = NULL;
        _cleanup_(closedirp) DIR *dir = fdopendir(fd);
        if (!dir) {
                close(fd);
                return -ENOMEM;
        }

        int r = gone(read_file_at(dirfd(dir), "cgroup.procs", &text, NULL));
        if (r >= 0)
                r = pids_add(p, text);
        if (r < 0 || depth >= DEPTH_MAX)
                return r;

        for (struct dirent *e; (e = readdir(dir));) {
                if (e->d_type != DT_DIR || e->d_name[0] == '.')
                        continue;
                int child = openat(dirfd(dir), e->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
                if (child < 0)
                        continue;
                r = pids_collect(p, child, depth + 1);
                if (r < 0 && r != -ENOENT)
                        return r;
        }
        return 0;
}

int cgroup_pids(const char *cgroup, int **ret, size_t *ret_n) {
        _cleanup_(pids_done) Pids p = { 0 };
        int fd;

        int r = group_open(cgroup, &fd);
        if (r >= 0)
                r = pids_collect(&p, fd, 0);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(p.items);
        *ret_n = p.n;
        return 0;
}
