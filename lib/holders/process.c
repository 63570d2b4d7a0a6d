/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "base/fileio.h"
#include "base/parse.h"
#include "holders/process.h"
#include "kernel/process/pidfd.h"
#include "kernel/sysfs/listing.h"

#define DELETED " (deleted)"

enum {
        THREADS_MAX = 4096,
};

int process_stat(int dirfd, ProcessStat *ret) {
        _cleanup_free_ char *stat = NULL;

        int r = read_file_at(dirfd, "stat", &stat, NULL);
        return r < 0 ? r : stat_parse(stat, ret);
}

int process_start_time(int dirfd, uint64_t *ret) {
        _cleanup_free_ char *stat = NULL;

        int r = read_file_at(dirfd, "stat", &stat, NULL);
        return r < 0 ? r : stat_start_time(stat, ret);
}

int status_number(const char *status, const char *key, uint64_t max, uint64_t *ret) {
        const char *p = strstr(status, key);
        uint64_t value;

        if (!p)
                return -EBADMSG;
        p += strlen(key);
        _cleanup_free_ char *field = strndup(p, strcspn(p, "\t\n"));
        if (!field)
                return -ENOMEM;
        if (parse_u64(field, &value) < 0 || value > max)
                return -EBADMSG;
        *ret = value;
        return 0;
}

/* The real one. The owner of the folder would be root for every process that must not dump core. */
int status_uid(const char *status, uint32_t *ret) {
        uint64_t uid;

        int r = status_number(status, "\nUid:\t", UINT32_MAX, &uid);
        if (r >= 0)
                *ret = (uint32_t) uid;
        return r;
}

int process_uid(int dirfd, uint32_t *ret) {
        _cleanup_free_ char *status = NULL;

        int r = read_file_at(dirfd, "status", &status, NULL);
        return r < 0 ? r : status_uid(status, ret);
}

/* In a recorded machine the folders are whose who unpacked it. */
int process_user(int dirfd, uint32_t *ret_uid, bool *ret_hidden) {
        struct statfs fs;
        struct stat st;

        int r = process_uid(dirfd, ret_uid);
        if (r < 0)
                return r;
        if (fstatfs(dirfd, &fs) < 0)
                return -errno;
        *ret_hidden = false;
        if (fs.f_type != PROC_SUPER_MAGIC)
                return 0;
        if (fstatat(dirfd, "fd", &st, 0) < 0)
                return -errno;
        *ret_hidden = st.st_uid != *ret_uid;
        return 0;
}

/* The folder of threads has a link for each (fs/proc/base.c:proc_task_getattr), beside its own two. */
bool process_has_threads(int dirfd) {
        struct statx st;

        return statx(dirfd, "task", AT_STATX_DONT_SYNC, STATX_NLINK, &st) < 0 || st.stx_nlink != 3;
}

/* The number is looked up after the folder of threads once more: it may have been given to somebody else meanwhile. */
static int open_thread(int dirfd, const char *tid) {
        _cleanup_free_ char *folder = strf("../%s", tid), *task = strf("task/%s", tid);
        ProcessStat st;

        if (!folder || !task)
                return -ENOMEM;
        _cleanup_close_ int fd = openat(dirfd, folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
        int r = fd < 0 ? -errno : process_stat(fd, &st);
        if (r < 0)
                return r;
        return st.state == 'Z' || st.state == 'X' || faccessat(dirfd, task, F_OK, 0) < 0 ? -ESRCH : TAKE_FD(fd);
}

int process_open_living(int dirfd, int *ret) {
        ProcessStat st;

        if (!process_has_threads(dirfd) || process_stat(dirfd, &st) < 0 || st.state != 'Z')
                return 0;
        int fd = openat(dirfd, "task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        _cleanup_(closedirp) DIR *tasks = fd < 0 ? NULL : fdopendir(fd);
        if (!tasks) {
                closep(&fd);
                return 0;
        }
        for (const struct dirent *e; (e = readdir(tasks));) {
                int living = e->d_name[0] == '.' ? -ESRCH : open_thread(dirfd, e->d_name);
                if (living == -ENOMEM)
                        return living;
                if (living < 0)
                        continue;
                *ret = living;
                return 1;
        }
        return 0;
}

/* The descriptor first, the time afterwards: should the number have changed hands before, the time tells; it cannot after. */
int process_open(int pid, uint64_t start_time, int *ret_dirfd, int *ret_pidfd) {
        _cleanup_close_ int pidfd = -EBADF, dirfd = -EBADF;
        _cleanup_free_ char *path = strf("/proc/%d", pid);
        ProcessStat st;

        if (!path)
                return -ENOMEM;
        int r = pidfd_open_process(pid, &pidfd);
        if (r < 0)
                return r;
        dirfd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (dirfd < 0)
                return errno == ENOENT ? -ESRCH : -errno;
        r = process_stat(dirfd, &st);
        if (r < 0)
                return r == -ENOENT ? -ESRCH : r;
        if (st.start_time != start_time || process_stat_ended(&st))
                return -ESRCH;

        if (ret_dirfd)
                *ret_dirfd = TAKE_FD(dirfd);
        if (ret_pidfd)
                *ret_pidfd = TAKE_FD(pidfd);
        return 0;
}

char thread_state(int pid, int tid) {
        _cleanup_free_ char *path = strf("/proc/%d/task/%d", pid, tid);
        _cleanup_close_ int task = path ? open(path, O_PATH | O_DIRECTORY | O_CLOEXEC) : -EBADF;
        ProcessStat st;

        return task >= 0 && process_stat(task, &st) >= 0 ? st.state : 0;
}

bool thread_hangs(int pid, int tid) {
        return thread_state(pid, tid) == 'D';
}

bool process_hangs(int pid) {
        _cleanup_listing_ Listing tasks = { 0 };

        if (listing_readf(&tasks, "/proc/%d/task", pid) < 0)
                return false;
        for (size_t i = 0; i < tasks.n && i < THREADS_MAX; i++) {
                uint64_t tid;
                if (parse_u64(tasks.names[i], &tid) >= 0 && tid <= INT32_MAX && thread_hangs(pid, (int) tid))
                        return true;
        }
        return false;
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
        _cleanup_free_ char *exe = NULL;

        int r = read_link_at(dirfd, "exe", &exe);
        if (r < 0 && r != -ENOENT && r != -EACCES && r != -EPERM)
                return r;
        *ret = TAKE_PTR(exe);
        return 0;
}

static bool has_suffix(const char *name, size_t length, const char *suffix) {
        size_t n = strlen(suffix);

        return length > n && strncmp(name + length - n, suffix, n) == 0;
}

static bool is_unit(const char *name, size_t length) {
        static const char *const suffixes[] = { ".service", ".scope", ".mount", ".socket", ".swap" };

        for (size_t i = 0; i < ELEMENTSOF(suffixes); i++)
                if (has_suffix(name, length, suffixes[i]))
                        return true;
        return false;
}

/* The first component that is no slice: what the system manager can stop. What lies deeper (a user manager's units, a
 * container's) belongs to others: one that is neither is somebody's own group ("lxc.payload.x", "docker"), and a unit below it is a namesake. */
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
                if (!has_suffix(p, (size_t) (slash - p), ".slice"))
                        break;
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

/* Of a process that ended in a group which has been removed since, the kernel says so behind the path. */
int cgroup_unified(const char *cgroup, char **ret) {
        for (const char *line = cgroup; line; line = strchr(line, '\n')) {
                line += *line == '\n';
                const char *path = startswith(line, "0::/");
                if (!path)
                        continue;
                path--;

                _cleanup_free_ char *copy = strndup(path, strcspn(path, "\n"));
                if (!copy)
                        return -ENOMEM;
                *ret = endswith(copy, DELETED) ? NULL : TAKE_PTR(copy);
                return 0;
        }
        *ret = NULL;
        return 0;
}

int process_unit_and_cgroup(int dirfd, char **ret_unit, char **ret_cgroup) {
        _cleanup_free_ char *text = NULL, *unit = NULL;

        int r = read_file_at(dirfd, "cgroup", &text, NULL);
        if (r >= 0)
                r = cgroup_unit(text, &unit);
        if (r >= 0)
                r = cgroup_unified(text, ret_cgroup);
        if (r < 0)
                return r;
        *ret_unit = TAKE_PTR(unit);
        return 0;
}

char *process_end_command(const char *unit, int pid) {
        _cleanup_free_ char *word = shell_quoted(unit);

        return word ? strf("systemctl stop %s", word) : strf("kill %d", pid);
}
