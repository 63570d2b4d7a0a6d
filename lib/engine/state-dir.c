/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/fileio.h"
#include "base/format.h"
#include "base/parse.h"
#include "engine/state-dir.h"
#include "config.h"

enum {
        PIECE_SIZE = 4096,
        RECORD_MAX = 64 * 1024 * 1024,
};

const char *state_dir(void) {
        return getenv("SAFE_REMOVE_STATE_DIR") ?: STATE_DIR;
}

bool state_may_come(int error) {
        return error == -ENOSPC || error == -EDQUOT || error == -EROFS || error == -EIO || error == -ETIME;
}

/* As we write it: what others call alike ("007", "0x7") is none of ours, nor is one behind which there is no next. */
static bool is_id(const char *name, uint64_t *ret) {
        uint64_t id;

        if (startswith(name, "0") || parse_u64(name, &id) < 0 || id >= INT64_MAX)
                return false;
        *ret = id;
        return true;
}

int removal_dir(const char *id, char **ret) {
        uint64_t n;

        if (!id || !is_id(id, &n))
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

int state_ids(const char *folder, uint64_t **ret, size_t *ret_n) {
        _cleanup_free_ char *path = strf("%s/%s", state_dir(), folder);
        _cleanup_free_ uint64_t *ids = NULL;
        size_t n = 0, allocated = 0;

        if (!path)
                return -ENOMEM;
        _cleanup_(closedirp) DIR *d = opendir(path);
        if (!d && errno != ENOENT)
                return -errno;

        for (struct dirent *e; d && (e = readdir(d));) {
                uint64_t id;
                if (!is_id(e->d_name, &id))
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

int removal_ids(uint64_t **ret, size_t *ret_n) {
        return state_ids("removals", ret, ret_n);
}

/* One that is gone meanwhile is gone since there is a higher one. */
int removal_number_keep(const char *id) {
        uint64_t own;

        if (!id || !is_id(id, &own))
                return -EINVAL;
        _cleanup_free_ char *folder = strf("%s/numbers", state_dir()), *path = strf("%s/numbers/%s", state_dir(), id);
        _cleanup_free_ uint64_t *ids = NULL;
        size_t n = 0;

        if (!folder || !path)
                return -ENOMEM;
        int r = mkdir_private(state_dir());
        if (r >= 0)
                r = mkdir_private(folder);
        if (r < 0)
                return r;
        _cleanup_close_ int fd = create_durably(path, O_WRONLY);
        r = fd < 0 ? fd : state_ids("numbers", &ids, &n);
        for (size_t i = 0; r >= 0 && i + 1 < n; i++) { /* all but the highest */
                _cleanup_free_ char *lower = strf("%s/%ju", folder, (uintmax_t) ids[i]);
                if (lower)
                        (void) unlink(lower);
        }
        return r;
}

int removal_number_highest(uint64_t *ret) {
        _cleanup_free_ uint64_t *ids = NULL, *kept = NULL;
        size_t n = 0, n_kept = 0;

        int r = state_ids("removals", &ids, &n);
        if (r >= 0)
                r = state_ids("numbers", &kept, &n_kept);
        if (r < 0)
                return r;
        uint64_t newest = n > 0 ? ids[n - 1] : 0, other = n_kept > 0 ? kept[n_kept - 1] : 0;
        *ret = newest > other ? newest : other;
        return 0;
}

int record_file_read(const char *path, char **ret, size_t *ret_length) {
        return read_regular_file(path, RECORD_MAX, ret, ret_length);
}

int record_each(const char *path, record_take_t take, void *userdata) {
        _cleanup_free_ char *text = NULL;

        int r = record_file_read(path, &text, NULL);
        if (r < 0)
                return r;
        for (char *line = text, *next; line && *line; line = next) {
                _cleanup_json_ json_object *record = NULL;

                next = strchr(line, '\n');
                size_t length = next ? (size_t) (next - line) : strlen(line);
                if (json_parse(line, length, &record) == 0)
                        take(record, userdata);
                next = next ? next + 1 : NULL;
        }
        return 0;
}

bool removal_has_ended(const char *dir) {
        _cleanup_free_ char *path = strf("%s/journal", dir), *text = NULL;
        _cleanup_json_ json_object *start = NULL;

        if (!path || record_file_read(path, &text, NULL) < 0 || !strstr(text, "\"ev\":\"end\""))
                return false;
        size_t first = strcspn(text, "\n");
        int r = json_parse(text, first, &start);
        return (r < 0 ? r : format_check(start, FORMAT_JOURNAL)) != -EPROTONOSUPPORT;
}

/* Is it in the first page of the file, or in the last? What cannot be read says nothing: a negative errno. */
static int piece_has(int fd, bool from_end, const char *what) {
        char piece[PIECE_SIZE + 1];
        struct stat st;

        if (fstat(fd, &st) < 0)
                return -errno;
        off_t at = from_end && st.st_size > PIECE_SIZE ? st.st_size - PIECE_SIZE : 0;
        ssize_t n = pread(fd, piece, PIECE_SIZE, at);
        if (n < 0)
                return -errno;
        piece[n] = '\0';
        return strstr(piece, what) != NULL;
}

/* A certificate is made of what has ended. The boot stands in the first record, the end is the last. */
bool removal_may_be_under_way(const char *dir) {
        _cleanup_free_ char *certificate = strf("%s/certificate.json", dir), *journal = strf("%s/journal", dir);
        char boot[33];

        if (!certificate || !journal || boot_id_read(boot) < 0)
                return true;
        if (access(certificate, F_OK) == 0)
                return false;
        struct stat st;
        if (lstat(journal, &st) < 0 || !S_ISREG(st.st_mode))
                return true;
        _cleanup_close_ int fd = open(journal, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        return fd < 0 || (piece_has(fd, false, boot) != 0 && piece_has(fd, true, "\"ev\":\"end\"") <= 0);
}

int state_lock_open(const char *name, int *ret_fd) {
        _cleanup_free_ char *path = strf("%s/%s", state_dir(), name);
        if (!path)
                return -ENOMEM;
        int r = mkdir_private(state_dir());
        if (r < 0)
                return r;

        int fd = create_durably(path, O_RDWR);
        if (fd < 0)
                return fd;
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
