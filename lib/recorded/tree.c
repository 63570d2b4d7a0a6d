/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>

#include "base/fileio.h"
#include "recorded/tree.h"

enum {
        ENTRIES_MAX = 500 * 1000,
        DEPTH_MAX = 64,
        PATH_LENGTH_MAX = 2048,
        FILE_BYTES_MAX = 16 * 1024 * 1024,
        TREE_BYTES_MAX = 192 * 1024 * 1024,
};

/* Where the machine that simulates puts what is its own (recorded/dress.h). */
#define REAL_PROC ".real"
#define PROGRAMS ".programs"

/* Is one of the names in the path this one? */
static bool goes_through(const char *path, const char *name) {
        for (const char *p = path + strspn(path, "/"); *p; p += strcspn(p, "/"), p += strspn(p, "/"))
                if (strcspn(p, "/") == strlen(name) && startswith(p, name))
                        return true;
        return false;
}

/* Nothing but what a recording is of, by a path without detours. */
static bool is_allowed(const char *path) {
        static const char *const tops[] = { "/sys/", "/proc/", "/dev/", "/etc/safe-remove/", "/var/lib/safe-remove/removals/", NULL };
        size_t depth = 0, i = 0;

        while (tops[i] && !startswith(path, tops[i]) && !(strlen(path) + 1 == strlen(tops[i]) && startswith(tops[i], path)))
                i++;
        if (!tops[i] || strlen(path) >= PATH_LENGTH_MAX || goes_through(path, REAL_PROC))
                return false;
        for (const char *p = path; *p; depth++) {
                size_t n = strcspn(++p, "/");
                if (n == 0 || n > NAME_MAX || (n == 1 && p[0] == '.') || (n == 2 && p[0] == '.' && p[1] == '.') || depth >= DEPTH_MAX)
                        return false;
                p += n;
        }
        return true;
}

static int grow(Tree *t, size_t bytes) {
        t->entries++;
        t->bytes += bytes;
        return !t->unlimited && (t->entries > ENTRIES_MAX || bytes > FILE_BYTES_MAX || t->bytes > TREE_BYTES_MAX) ? -EFBIG : 0;
}

static int open_in(const Tree *t, const char *path, int flags) {
        return open_resolved(t->top, path, flags, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
}

int tree_folder(const Tree *t, const char *path) {
        int fd = open_in(t, path, O_PATH | O_DIRECTORY);
        if (fd != -ENOENT)
                return fd;

        const char *slash = strrchr(path, '/');
        if (!slash || slash == path)
                return mkdirat(t->top, path + (slash == path), 0700) < 0 ? -errno : open_in(t, path, O_PATH | O_DIRECTORY);
        _cleanup_free_ char *above = strndup(path, (size_t) (slash - path));
        if (!above)
                return -ENOMEM;
        _cleanup_close_ int parent = tree_folder(t, above);
        if (parent < 0)
                return parent;
        /* A link that leads nowhere is in its place. */
        if (mkdirat(parent, slash + 1, 0700) < 0)
                return -errno;
        return open_in(t, path, O_PATH | O_DIRECTORY);
}

static int take_away_at(int folder, const char *name) {
        if (unlinkat(folder, name, 0) >= 0)
                return 0;
        if (errno != EISDIR)
                return -errno;

        int fd = openat(folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0)
                return -errno;
        _cleanup_(closedirp) DIR *d = fdopendir(fd);
        if (!d) {
                close(fd);
                return -ENOMEM;
        }
        for (struct dirent *e; (e = readdir(d));) {
                int r = streq(e->d_name, ".") || streq(e->d_name, "..") ? 0 : take_away_at(fd, e->d_name);
                if (r < 0)
                        return r;
        }
        return unlinkat(folder, name, AT_REMOVEDIR) < 0 ? -errno : 0;
}

/* The folder that it is to be in, and its name there. */
static int folder_above(const Tree *t, const char *path, const char **ret_name) {
        const char *slash = strrchr(path, '/');
        _cleanup_free_ char *above = is_allowed(path) ? strndup(path, (size_t) (slash - path)) : NULL;

        if (!above)
                return is_allowed(path) ? -ENOMEM : -EINVAL;
        *ret_name = slash + 1;
        return tree_folder(t, above);
}

/* The same, with nothing there any more. */
static int make_way(Tree *t, const char *path, size_t bytes, const char **ret_name) {
        int r = grow(t, bytes);
        if (r < 0)
                return r;
        _cleanup_close_ int folder = folder_above(t, path, ret_name);
        if (folder < 0)
                return folder;
        r = take_away_at(folder, *ret_name);
        return r < 0 && r != -ENOENT ? r : TAKE_FD(folder);
}

int tree_make_folder(Tree *t, const char *path) {
        int r = is_allowed(path) ? grow(t, 0) : -EINVAL;
        if (r < 0)
                return r;
        _cleanup_close_ int fd = tree_folder(t, path);
        return fd < 0 ? fd : 0;
}

int tree_make_link(Tree *t, const char *path, const char *target) {
        const char *name;

        /* Programs are run by whoever simulates: they are the one that does nothing, or are not there. */
        if (!*target || goes_through(target, REAL_PROC) || goes_through(target, PROGRAMS) || (goes_through(path, PROGRAMS) && !streq(target, TREE_PROGRAM)))
                return -EINVAL;
        _cleanup_close_ int folder = make_way(t, path, strlen(target), &name);
        if (folder < 0)
                return folder;
        return symlinkat(target, folder, name) < 0 ? -errno : 0;
}

int tree_make_file(Tree *t, const char *path, const void *data, size_t length) {
        const char *name;

        if (goes_through(path, PROGRAMS))
                return -EINVAL;
        _cleanup_close_ int folder = make_way(t, path, length, &name);
        if (folder < 0)
                return folder;
        _cleanup_close_ int fd = openat(folder, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        return fd < 0 ? -errno : write_all(fd, data, length);
}

int tree_patch(Tree *t, const char *path, uint64_t offset, const void *data, size_t length) {
        const char *name;

        if (offset > FILE_BYTES_MAX)
                return -EFBIG;
        int r = grow(t, length);
        if (r < 0)
                return r;
        _cleanup_close_ int folder = folder_above(t, path, &name);
        if (folder < 0)
                return folder;
        _cleanup_close_ int fd = openat(folder, name, O_WRONLY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0)
                return -errno;
        return pwrite(fd, data, length, (off_t) offset) == (ssize_t) length ? 0 : -EIO;
}

int tree_take_away(Tree *t, const char *path) {
        const char *name;

        _cleanup_close_ int folder = folder_above(t, path, &name);
        return folder < 0 ? folder : take_away_at(folder, name);
}

static int copy_folder(Tree *t, int from, const char *path, char **ret_where);

static int copy_entry(Tree *t, int folder, const char *name, const char *path, char **ret_where) {
        _cleanup_free_ char *text = NULL;
        struct stat st;
        size_t length;

        if (fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
                return -errno;
        if (S_ISLNK(st.st_mode)) {
                int r = read_link_at(folder, name, &text);
                return r < 0 ? r : tree_make_link(t, path, text);
        }
        if (!S_ISDIR(st.st_mode) && !S_ISREG(st.st_mode))
                return 0;
        /* It may have become something else that is waited for: a FIFO. */
        _cleanup_close_ int fd = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | (S_ISDIR(st.st_mode) ? O_DIRECTORY : 0));
        if (fd < 0)
                return -errno;
        if (S_ISDIR(st.st_mode))
                return copy_folder(t, fd, path, ret_where);
        _cleanup_free_ char *opened = strf("/proc/self/fd/%d", fd);
        if (!opened || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
                return opened ? -EMEDIUMTYPE : -ENOMEM;
        int r = read_file_at_most(AT_FDCWD, opened, FILE_BYTES_MAX, &text, &length);
        return r < 0 ? r : tree_make_file(t, path, text, length);
}

static int copy_folder(Tree *t, int from, const char *path, char **ret_where) {
        int fd = openat(from, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        _cleanup_(closedirp) DIR *d = fd < 0 ? NULL : fdopendir(fd);

        if (!d)
                return -errno;
        int r = tree_make_folder(t, path);
        for (struct dirent *e; r >= 0 && (e = readdir(d));) {
                if (streq(e->d_name, ".") || streq(e->d_name, ".."))
                        continue;
                _cleanup_free_ char *inner = strf("%s/%s", path, e->d_name);
                r = inner ? copy_entry(t, fd, e->d_name, inner, ret_where) : -ENOMEM;
                if (r < 0 && !*ret_where)
                        *ret_where = TAKE_PTR(inner);
        }
        return r;
}

int tree_copy(Tree *t, int folder, char **ret_where) {
        static const char *const tops[] = { "sys", "proc", "dev", "etc/safe-remove", "var/lib/safe-remove/removals" };
        bool any = false;

        for (size_t i = 0; i < ELEMENTSOF(tops); i++) {
                _cleanup_close_ int fd = openat(folder, tops[i], O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
                _cleanup_free_ char *path = strf("/%s", tops[i]);
                if (fd < 0)
                        continue;
                int r = path ? copy_folder(t, fd, path, ret_where) : -ENOMEM;
                if (r < 0)
                        return r;
                any = true;
        }
        return any ? 0 : -EBADMSG;
}
