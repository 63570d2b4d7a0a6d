/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>

#include "base/fileio.h"

enum {
        CHUNK = 16 * 1024,
        FILE_MAX = 64 * 1024 * 1024,
        LINK_MAX_SIZE = 64 * 1024,
        CONFIG_MAX = 1024 * 1024,
        TRIES_MAX = 10000,     /* a few milliseconds */
        MEM_MAJOR = 1,         /* Documentation/admin-guide/devices.txt: /dev/null is 1:3 */
        NULL_MINOR = 3,
};

static int read_all(int fd, size_t max, char **ret, size_t *ret_length) {
        _cleanup_free_ char *buffer = NULL;
        size_t length = 0, allocated = 0;

        for (;;) {
                if (length + CHUNK + 1 > allocated) {
                        size_t want = allocated ? allocated * 2 : CHUNK + 1;
                        char *grown = realloc(buffer, want);
                        if (!grown)
                                return -ENOMEM;
                        buffer = grown;
                        allocated = want;
                }

                ssize_t n = read(fd, buffer + length, allocated - length - 1);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                if (n == 0)
                        break;
                length += (size_t) n;
                if (length > max)
                        return -EFBIG;
        }

        buffer[length] = '\0';
        *ret = TAKE_PTR(buffer);
        if (ret_length)
                *ret_length = length;
        return 0;
}

int read_file_at_most(int dirfd, const char *path, size_t max, char **ret, size_t *ret_length) {
        _cleanup_close_ int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC | O_NOCTTY);

        return fd < 0 ? -errno : read_all(fd, max, ret, ret_length);
}

static int read_regular(const char *path, const uid_t *owner, size_t max, char **ret, size_t *ret_length) {
        struct stat st;

        /* Before it is opened, which waits at a FIFO and sets some devices going. Root alone can put another one there in between. (O_NONBLOCK would
         * not wait for a lease either.) */
        if (lstat(path, &st) < 0)
                return -errno;
        if (!S_ISREG(st.st_mode))
                return -EMEDIUMTYPE;
        _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NOFOLLOW);
        if (fd < 0)
                return errno == ELOOP ? -EMEDIUMTYPE : -errno;
        if (fstat(fd, &st) < 0)
                return -errno;
        if (owner && st.st_uid != 0 && st.st_uid != *owner)
                return -EPERM;
        return S_ISREG(st.st_mode) ? read_all(fd, max, ret, ret_length) : -EMEDIUMTYPE;
}

int read_regular_file(const char *path, size_t max, char **ret, size_t *ret_length) {
        return read_regular(path, NULL, max, ret, ret_length);
}

int read_regular_file_of(const char *path, uid_t owner, size_t max, char **ret, size_t *ret_length) {
        return read_regular(path, &owner, max, ret, ret_length);
}

int read_config_file(const char *path, char **ret, size_t *ret_length) {
        struct stat st;

        if (stat(path, &st) < 0)
                return -errno;
        if (!S_ISREG(st.st_mode) && !(S_ISCHR(st.st_mode) && st.st_rdev == makedev(MEM_MAJOR, NULL_MINOR)))
                return -EMEDIUMTYPE;
        _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
        return fd < 0 ? -errno : read_all(fd, CONFIG_MAX, ret, ret_length);
}

int read_file_at(int dirfd, const char *path, char **ret, size_t *ret_length) {
        return read_file_at_most(dirfd, path, FILE_MAX, ret, ret_length);
}

int read_file(const char *path, char **ret, size_t *ret_length) {
        return read_file_at(AT_FDCWD, path, ret, ret_length);
}

/* sysfs and proc do not tell the length of a link beforehand, and their paths may be longer than a page. */
int open_resolved(int dirfd, const char *path, int flags, uint64_t resolve) {
        struct open_how how = { .flags = (uint64_t) flags | O_CLOEXEC, .resolve = resolve };
        int fd = -1;

        /* Within a root the kernel gives up at ".." when anybody on this machine has renamed or mounted something meanwhile (fs/namei.c:handle_dots). */
        for (unsigned tries = 0; tries < TRIES_MAX; tries++) {
                fd = (int) syscall(SYS_openat2, dirfd, path, &how, sizeof(how));
                if (fd >= 0 || errno != EAGAIN || (resolve & (RESOLVE_IN_ROOT | RESOLVE_BENEATH)) == 0)
                        break;
        }
        return fd < 0 ? -errno : fd;
}

int read_link_at(int dirfd, const char *path, char **ret) {
        for (size_t size = 256; size <= LINK_MAX_SIZE; size *= 2) {
                _cleanup_free_ char *target = malloc(size);
                if (!target)
                        return -ENOMEM;

                ssize_t n = readlinkat(dirfd, path, target, size);
                if (n < 0)
                        return -errno;
                if ((size_t) n == size)
                        continue;
                target[n] = '\0';
                *ret = TAKE_PTR(target);
                return 0;
        }
        return -ENAMETOOLONG;
}

int write_all(int fd, const void *data, size_t length) {
        for (const char *p = data; length > 0;) {
                ssize_t n = write(fd, p, length);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                p += n;
                length -= (size_t) n;
        }
        return 0;
}

static int make_last(int fd) {
        return fsync(fd) < 0 ? -errno : 0;
}

static int open_and_make_last(const char *path, int flags) {
        _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | flags);

        return fd < 0 ? -errno : make_last(fd);
}

int fsync_path(const char *path) {
        return open_and_make_last(path, O_NOFOLLOW | O_NONBLOCK);
}

int fsync_parent(const char *path) {
        _cleanup_free_ char *copy = strdup(path);

        return copy ? open_and_make_last(dirname(copy), O_DIRECTORY) : -ENOMEM;
}

static int replace(const char *path, const char *text, bool durably) {
        _cleanup_free_ char *temp = strf("%s.new", path);
        if (!temp)
                return -ENOMEM;

        _cleanup_close_ int fd = open(temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600); /* a FIFO there is no place to wait at */
        if (fd < 0)
                return -errno;

        int r = write_all(fd, text, strlen(text));
        if (r >= 0 && durably)
                r = make_last(fd);
        if (r < 0)
                return r;
        if (rename(temp, path) < 0)
                return -errno;
        return durably ? fsync_parent(path) : 0;
}

int replace_file(const char *path, const char *text) {
        return replace(path, text, false);
}

int write_file_durably(const char *path, const char *text) {
        return replace(path, text, true);
}

int append_line(int fd, const char *line) {
        _cleanup_free_ char *record = strf("%s\n", line);
        if (!record)
                return -ENOMEM;

        struct stat before;
        if (fstat(fd, &before) < 0)
                return -errno;
        int r = write_all(fd, record, strlen(record));
        if (r < 0) {
                /* Half a line on a full disk must not swallow the next. */
                (void) !ftruncate(fd, before.st_size);
                return r;
        }
        return 0;
}

int append_line_durably(int fd, const char *line) {
        int r = append_line(fd, line);

        return r < 0 ? r : fdatasync(fd) < 0 ? -errno : 0;
}

int mkdir_durably(const char *path) {
        return mkdir(path, 0700) < 0 ? -errno : fsync_parent(path);
}

int mkdir_private(const char *path) {
        int r = mkdir_durably(path);

        return r == -EEXIST ? 0 : r;
}

int create_durably(const char *path, int flags) {
        int fd = open(path, flags | O_CLOEXEC | O_NOFOLLOW);

        if (fd >= 0 || errno != ENOENT)
                return fd < 0 ? -errno : fd;
        fd = open(path, flags | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0)
                return -errno;
        int r = fsync_parent(path);
        if (r < 0)
                close(fd);
        return r < 0 ? r : fd;
}
