/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>

#include "base/fileio.h"
#include "base/parse.h"
#include "config.h"
#include "engine/chain.h"
#include "engine/state-dir.h"

const char *state_dir(void) {
        return getenv("SAFE_REMOVE_STATE_DIR") ?: STATE_DIR;
}

int removal_dir(const char *id, char **ret) {
        uint64_t n;

        if (!id || startswith(id, "0") || parse_u64(id, &n) < 0)
                return -EINVAL;
        char *path = strf("%s/removals/%s", state_dir(), id);
        if (!path)
                return -ENOMEM;
        *ret = path;
        return 0;
}

static int ascending(const void *a, const void *b) {
        uint64_t x = *(const uint64_t *) a, y = *(const uint64_t *) b;

        return x < y ? -1 : x > y;
}

int removal_ids(uint64_t **ret, size_t *ret_n) {
        _cleanup_free_ char *path = strf("%s/removals", state_dir());
        _cleanup_free_ uint64_t *ids = NULL;
        size_t n = 0, allocated = 0;

        if (!path)
                return -ENOMEM;
        _cleanup_(closedirp) DIR *d = opendir(path);
        if (!d && errno != ENOENT)
                return -errno;

        for (struct dirent *e; d && (e = readdir(d));) {
                uint64_t id;
                if (parse_u64(e->d_name, &id) < 0)
                        continue;
                if (vec_grow((void **) &ids, n, &allocated, sizeof(*ids)) < 0)
                        return -ENOMEM;
                ids[n++] = id;
        }
        if (n > 1)
                qsort(ids, n, sizeof(*ids), ascending);
        *ret = TAKE_PTR(ids);
        *ret_n = n;
        return 0;
}

bool removal_has_ended(const char *dir) {
        _cleanup_free_ char *path = strf("%s/journal", dir), *text = NULL;

        return path && read_file(path, &text, NULL) >= 0 && strstr(text, "\"ev\":\"end\"");
}

static void record_delete(const char *dir) {
        static const char *const files[] = { "plan.json", "plan.json.new", "certificate.json", "certificate.json.new", "journal" };

        for (size_t i = 0; i < ELEMENTSOF(files); i++) {
                _cleanup_free_ char *path = strf("%s/%s", dir, files[i]);
                if (path)
                        (void) unlink(path);
        }
        (void) rmdir(dir);
}

void removals_prune(size_t keep) {
        _cleanup_free_ uint64_t *ids = NULL;
        size_t n = 0;

        _cleanup_close_ int lock = -EBADF;
        if (removal_ids(&ids, &n) < 0 || n <= keep || chain_lock(CHAIN_LOCK_USEC, &lock) < 0)
                return;
        for (size_t i = 0; i + keep < n; i++) {
                _cleanup_free_ char *dir = strf("%s/removals/%ju", state_dir(), (uintmax_t) ids[i]);
                if (dir && removal_has_ended(dir) && chain_let_go(ids[i]))
                        record_delete(dir);
        }
}

int state_lock_open(const char *name, int *ret_fd) {
        _cleanup_free_ char *path = strf("%s/%s", state_dir(), name);
        if (!path)
                return -ENOMEM;
        int r = mkdir_private(state_dir());
        if (r < 0)
                return r;

        int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0)
                return -errno;
        *ret_fd = fd;
        return 0;
}

int machine_lock(int *ret_fd) {
        _cleanup_close_ int fd = -EBADF;

        int r = state_lock_open("lock", &fd);
        if (r < 0)
                return r;
        if (flock(fd, LOCK_EX | LOCK_NB) < 0)
                return -errno;
        *ret_fd = TAKE_FD(fd);
        return 0;
}
