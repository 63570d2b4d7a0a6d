/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "base/fileio.h"
#include "base/parse.h"
#include "holders/process.h"

enum {
        /* proc_pid_stat(5): field 22 is the start time; what follows the command's closing parenthesis begins with field 3. */
        FIELDS_TO_START_TIME = 22 - 3,

        TARGET_MAX = 64 * 1024,
};

/* The command may contain blanks and parentheses, so fields count from the last parenthesis. */
int stat_start_time(const char *stat, uint64_t *ret) {
        const char *p = strrchr(stat, ')');

        if (!p || *++p != ' ')
                return -EBADMSG;
        p++;
        for (int i = 0; i < FIELDS_TO_START_TIME; i++) {
                p = strchr(p, ' ');
                if (!p)
                        return -EBADMSG;
                p++;
        }

        _cleanup_free_ char *field = strndup(p, strcspn(p, " \n"));
        if (!field)
                return -ENOMEM;
        return parse_u64(field, ret) < 0 ? -EBADMSG : 0;
}

int process_start_time(int dirfd, uint64_t *ret) {
        _cleanup_free_ char *stat = NULL;

        int r = read_file_at(dirfd, "stat", &stat, NULL);
        return r < 0 ? r : stat_start_time(stat, ret);
}

/* The real one. The owner of the folder would be root for every process that must not dump core. */
int status_uid(const char *status, uint32_t *ret) {
        const char *p = strstr(status, "\nUid:\t");
        uint64_t uid;

        if (!p)
                return -EBADMSG;
        p += strlen("\nUid:\t");
        _cleanup_free_ char *field = strndup(p, strcspn(p, "\t\n"));
        if (!field)
                return -ENOMEM;
        if (parse_u64(field, &uid) < 0 || uid > UINT32_MAX)
                return -EBADMSG;
        *ret = (uint32_t) uid;
        return 0;
}

int process_uid(int dirfd, uint32_t *ret) {
        _cleanup_free_ char *status = NULL;

        int r = read_file_at(dirfd, "status", &status, NULL);
        return r < 0 ? r : status_uid(status, ret);
}

int process_comm(int dirfd, char **ret) {
        _cleanup_free_ char *comm = NULL;

        int r = read_file_at(dirfd, "comm", &comm, NULL);
        if (r < 0)
                return r;
        comm[strcspn(comm, "\n")] = '\0';
        *ret = TAKE_PTR(comm);
        return 0;
}

int process_exe(int dirfd, char **ret) {
        for (size_t size = 256; size <= TARGET_MAX; size *= 2) {
                _cleanup_free_ char *target = malloc(size);
                if (!target)
                        return -ENOMEM;

                ssize_t n = readlinkat(dirfd, "exe", target, size);
                if (n < 0 && (errno == ENOENT || errno == EACCES || errno == EPERM)) {
                        *ret = NULL;
                        return 0;
                }
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

static bool is_unit(const char *name, size_t length) {
        static const char *const suffixes[] = { ".service", ".scope", ".mount", ".socket", ".swap" };

        for (size_t i = 0; i < ELEMENTSOF(suffixes); i++) {
                size_t n = strlen(suffixes[i]);
                if (length > n && strncmp(name + length - n, suffixes[i], n) == 0)
                        return true;
        }
        return false;
}

/* The first component that is no slice: what the system manager can stop. What lies deeper (a user manager's units, a
 * container's) belongs to others. */
static int unit_of_path(const char *path, size_t length, char **ret) {
        for (const char *p = path, *end = path + length; p < end;) {
                const char *slash = memchr(p, '/', (size_t) (end - p)) ?: end;
                if (is_unit(p, (size_t) (slash - p))) {
                        /* A name that would clash with one of the kernel's files is written with "_" before it. */
                        const char *name = *p == '_' ? p + 1 : p;
                        char *unit = strndup(name, (size_t) (slash - name));
                        if (!unit)
                                return -ENOMEM;
                        *ret = unit;
                        return 0;
                }
                p = slash < end ? slash + 1 : end;
        }
        *ret = NULL;
        return 0;
}

/* "0::PATH" is the unified hierarchy; on a machine that still has the old ones systemd's is "N:name=systemd:PATH". */
int cgroup_unit(const char *cgroup, char **ret) {
        static const char *const hierarchies[] = { "0::/", ":name=systemd:/" };

        for (size_t i = 0; i < ELEMENTSOF(hierarchies); i++) {
                const char *p = strstr(cgroup, hierarchies[i]);
                _cleanup_free_ char *unit = NULL;
                if (!p || (i == 0 && p != cgroup && p[-1] != '\n'))
                        continue;
                p += strlen(hierarchies[i]);
                int r = unit_of_path(p, strcspn(p, "\n"), &unit);
                if (r < 0)
                        return r;
                if (unit) {
                        *ret = TAKE_PTR(unit);
                        return 0;
                }
        }
        *ret = NULL;
        return 0;
}

int process_unit(int dirfd, char **ret) {
        _cleanup_free_ char *cgroup = NULL;

        int r = read_file_at(dirfd, "cgroup", &cgroup, NULL);
        return r < 0 ? r : cgroup_unit(cgroup, ret);
}
