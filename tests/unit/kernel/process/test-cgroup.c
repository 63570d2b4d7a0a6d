/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Real groups, real children: needs root and the unified hierarchy. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/fileio.h"
#include "kernel/process/cgroup.h"
#include "tests/unit/test.h"

static char *outer, *inner;     /* of this process alone: the test may run twice at a time */

static const char *root(void) {
        return access("/sys/fs/cgroup/cgroup.procs", F_OK) == 0 ? "/sys/fs/cgroup" : "/sys/fs/cgroup/unified";
}

static int group_make(const char *group) {
        _cleanup_free_ char *path = strf("%s%s", root(), group);

        return mkdir(path, 0755) < 0 && errno != EEXIST ? -errno : 0;
}

static void group_remove(const char *group) {
        _cleanup_free_ char *path = strf("%s%s", root(), group);

        (void) rmdir(path);
}

static void group_enter(const char *group) {
        _cleanup_free_ char *path = strf("%s%s/cgroup.procs", root(), group);
        _cleanup_close_ int fd = open(path, O_WRONLY | O_CLOEXEC);

        CHECK(fd >= 0 && write(fd, "0", 1) == 1);
}

/* A child that counts into the pipe, as fast as it is read. */
static pid_t counter_start(const char *group, int *ret_fd) {
        int fds[2];

        CHECK(pipe2(fds, O_CLOEXEC) == 0);
        pid_t pid = fork();
        CHECK(pid >= 0);
        if (pid == 0) {
                group_enter(group);
                for (;;)
                        if (write(fds[1], "x", 1) != 1)
                                _exit(0);
        }
        close(fds[1]);
        *ret_fd = fds[0];
        return pid;
}

static void child_end(pid_t pid) {
        CHECK(kill(pid, SIGKILL) == 0);
        CHECK(waitpid(pid, NULL, 0) == pid);
}

/* More than a pipe holds can only come from one that runs. */
static bool counts(int fd) {
        char buffer[4096];
        uint64_t deadline = now_monotonic() + USEC_PER_SEC;

        CHECK(fcntl(fd, F_SETFL, O_NONBLOCK) == 0);
        for (size_t n = 0; now_monotonic() < deadline;) {
                ssize_t k = read(fd, buffer, sizeof(buffer));
                n += k > 0 ? (size_t) k : 0;
                if (n > 128 * 1024)
                        return true;
        }
        return false;
}

static void test_freeze(void) {
        int fd;
        pid_t pid = counter_start(inner, &fd);

        CHECK(counts(fd));
        CHECK_INT(cgroup_is_frozen(inner), 0);
        CHECK_INT(cgroup_asked_to_freeze(inner), 0);
        CHECK_INT(cgroup_wait_frozen(inner, true, 20 * USEC_PER_MSEC), -ETIME);

        CHECK_INT(cgroup_freeze(inner, true), 0);
        CHECK_INT(cgroup_wait_frozen(inner, true, 5 * USEC_PER_SEC), 0);
        CHECK_INT(cgroup_asked_to_freeze(inner), 1);
        CHECK(!counts(fd));

        CHECK_INT(cgroup_freeze(inner, false), 0);
        CHECK_INT(cgroup_wait_frozen(inner, false, 5 * USEC_PER_SEC), 0);
        CHECK(counts(fd));
        child_end(pid);
        close(fd);
}

/* Frozen from above: nobody asked it of this group. */
static void test_from_above(void) {
        int fd;
        pid_t pid = counter_start(inner, &fd);

        CHECK_INT(cgroup_freeze(outer, true), 0);
        CHECK_INT(cgroup_wait_frozen(inner, true, 5 * USEC_PER_SEC), 0);
        CHECK_INT(cgroup_asked_to_freeze(inner), 0);
        CHECK_INT(cgroup_freeze(outer, false), 0);
        CHECK_INT(cgroup_wait_frozen(inner, false, 5 * USEC_PER_SEC), 0);
        child_end(pid);
        close(fd);
}

static void thaw_later(void) {
        if (fork() == 0) {
                (void) poll(NULL, 0, 300);
                (void) cgroup_freeze(inner, false);
                _exit(0);
        }
}

/* The wait ends with the event, not with its time. */
static void test_event(void) {
        int fd;
        pid_t pid = counter_start(inner, &fd);
        uint64_t start = now_monotonic();

        CHECK_INT(cgroup_freeze(inner, true), 0);
        CHECK_INT(cgroup_wait_frozen(inner, true, 5 * USEC_PER_SEC), 0);
        thaw_later();
        CHECK_INT(cgroup_wait_frozen(inner, false, 600 * USEC_PER_SEC), 0);
        CHECK(now_monotonic() - start < 300 * USEC_PER_SEC);
        (void) wait(NULL);
        child_end(pid);
        close(fd);
}

static void test_pids(void) {
        _cleanup_free_ int *pids = NULL;
        size_t n = 0;
        int fd;
        pid_t pid = counter_start(inner, &fd);

        CHECK(counts(fd));
        CHECK_INT(cgroup_pids(outer, &pids, &n), 0);
        CHECK_INT(n, 1);
        CHECK_INT(pids[0], pid);
        child_end(pid);
        close(fd);
}

static void test_missing(void) {
        int *pids;
        size_t n;

        CHECK_INT(cgroup_freeze("/no-such.slice", true), -ENOENT);
        CHECK_INT(cgroup_is_frozen("/no-such.slice"), -ENOENT);
        CHECK_INT(cgroup_pids("/no-such.slice", &pids, &n), -ENOENT);
        CHECK_INT(cgroup_freeze("/../x", true), -EINVAL);
        CHECK_INT(cgroup_freeze("/x/..", true), -EINVAL);
        CHECK_INT(cgroup_freeze("x", true), -EINVAL);
        CHECK_INT(cgroup_freeze("/x..", true), -ENOENT);
        CHECK_INT(cgroup_is_frozen("/"), -ENOENT);
}

int main(void) {
        outer = strf("/safe-remove-test-%d.slice", getpid());
        inner = strf("%s/inner.service", outer);
        if (geteuid() != 0 || group_make(outer) < 0 || group_make(inner) < 0) {
                puts("needs root and the unified cgroup hierarchy");
                return 77;
        }
        test_freeze();
        test_from_above();
        test_event();
        test_pids();
        test_missing();
        group_remove(inner);
        group_remove(outer);
        free(inner);
        free(outer);
        return EXIT_SUCCESS;
}
