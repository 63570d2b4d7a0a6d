/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>

#include "base/fileio.h"
#include "base/parse.h"
#include "kernel/process/apart.h"
#include "kernel/sysfs/attr.h"

enum {
        ROOM = 4096, /* the usual attribute is a few bytes long */
};

/* What is below these is sysfs itself, where a text comes whole if there is room for it: it is one record of a seq_file (sysfs_kf_seq_show() in
 * fs/sysfs/file.c), or is copied from a buffer (memory_read_from_buffer()). A second read() that says so is half of what an attribute costs, and a look
 * reads hundreds. The files of other file systems, also of those below /sys, come in parts. */
static bool comes_whole(const char *path) {
        return startswith(path, "/sys/bus/") || startswith(path, "/sys/class/") || startswith(path, "/sys/devices/");
}

static int read_text(const char *path, char **ret, size_t *ret_length) {
        char text[ROOM];

        if (!comes_whole(path))
                return read_file(path, ret, ret_length);
        _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
        if (fd < 0)
                return -errno;
        ssize_t n = read(fd, text, sizeof(text));
        if (n < 0 && errno != EINTR)
                return -errno;
        if (n < 0 || (size_t) n == sizeof(text))
                return read_file(path, ret, ret_length);
        *ret = strndup(text, (size_t) n);
        *ret_length = (size_t) n;
        return *ret ? 0 : -ENOMEM;
}

int attr_read(const char *path, char **ret) {
        _cleanup_free_ char *text = NULL;
        size_t n = 0;

        int r = read_text(path, &text, &n);
        if (r < 0)
                return r;
        /* No one-value attribute has a NUL byte in it; whoever compared the rest would compare only a part. */
        if (strlen(text) != n)
                return -EBADMSG;
        if (n > 0 && text[n - 1] == '\n')
                text[n - 1] = '\0';

        *ret = TAKE_PTR(text);
        return 0;
}

/* apart_work_t */
static int read_apart(void *data, char **ret_text) {
        return attr_read(data, ret_text);
}

int attr_read_within(const char *path, uint64_t timeout_usec, char **ret) {
        const ApartOptions options = { .interruptible = true, .flat = strlen(path) + 1, .timeout_usec = timeout_usec };
        _cleanup_free_ char *text = NULL;

        int r = run_apart(read_apart, (void *) path, &options, &text);
        if (r < 0)
                return r;
        *ret = text ? TAKE_PTR(text) : strdup("");
        return *ret ? 0 : -ENOMEM;
}

int attr_read_word_at(int dirfd, const char *name, char *ret, size_t size) {
        _cleanup_close_ int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NOCTTY);
        if (fd < 0)
                return -errno;

        ssize_t n = read(fd, ret, size);
        if (n < 0)
                return -errno;
        if ((size_t) n == size || memchr(ret, '\0', (size_t) n))
                return -EBADMSG;
        ret[n > 0 && ret[n - 1] == '\n' ? n - 1 : n] = '\0';
        return 0;
}

int attr_readf(char **ret, const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        _cleanup_free_ char *path = strfv(format, ap);
        va_end(ap);

        return path ? attr_read(path, ret) : -ENOMEM;
}

int attr_read_u64f(uint64_t *ret, const char *format, ...) {
        _cleanup_free_ char *text = NULL;
        va_list ap;

        va_start(ap, format);
        _cleanup_free_ char *path = strfv(format, ap);
        va_end(ap);
        if (!path)
                return -ENOMEM;

        int r = attr_read(path, &text);
        return r < 0 ? r : parse_u64(text, ret);
}

bool path_existsf(const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        _cleanup_free_ char *path = strfv(format, ap);
        va_end(ap);

        return path && access(path, F_OK) == 0;
}

int link_readf(char **ret, const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        _cleanup_free_ char *path = strfv(format, ap);
        va_end(ap);

        return path ? read_link_at(AT_FDCWD, path, ret) : -ENOMEM;
}

int link_namef(char **ret, const char *format, ...) {
        _cleanup_free_ char *target = NULL;
        va_list ap;

        va_start(ap, format);
        _cleanup_free_ char *path = strfv(format, ap);
        va_end(ap);
        if (!path)
                return -ENOMEM;

        int r = read_link_at(AT_FDCWD, path, &target);
        if (r < 0)
                return r;

        char *slash = strrchr(target, '/');
        char *name = strdup(slash ? slash + 1 : target);
        if (!name)
                return -ENOMEM;
        *ret = name;
        return 0;
}
