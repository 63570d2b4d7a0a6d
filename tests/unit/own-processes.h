/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "base/fileio.h"
#include "kernel/process/process-stat.h"
#include "tests/unit/test.h"

/* Goes on in a child, and ends as that does. */
static inline void go_on_in_child(void) {
        int status;

        pid_t pid = fork();
        CHECK(pid >= 0);
        if (pid == 0)
                return;
        while (waitpid(-1, &status, 0) != pid)
                ;
        _exit(WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_FAILURE);
}

/* Goes on in a process that sees nobody but its own, and mounts nothing for others: how many others there are, how much they map
 * and whether one of them is stuck then makes no difference. (Not the first of its kind: that one collects the orphans, and
 * cannot be traced by what looks for leaks.) False where that takes more than we may; all goes on with everybody in sight. */
static inline bool see_own_processes(void) {
        if (geteuid() != 0 || unshare(CLONE_NEWNS | CLONE_NEWPID) < 0)
                return false;
        go_on_in_child();
        go_on_in_child();
        return mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 && mount("proc", "/proc", "proc", 0, NULL) == 0;
}

/* A child that has prepared itself when this returns, and then waits until waiting_child_end(). */
static inline pid_t waiting_child_start(void (*prepare)(void)) {
        int fds[2];
        char c;

        CHECK_INT(pipe2(fds, O_CLOEXEC), 0);
        pid_t pid = fork();
        CHECK(pid >= 0);
        if (pid == 0) {
                (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
                prepare();
                CHECK_INT(write(fds[1], "", 1), 1);
                for (;;)
                        pause();
        }
        CHECK_INT(close(fds[1]), 0);
        CHECK_INT(read(fds[0], &c, 1), 1);
        CHECK_INT(close(fds[0]), 0);
        return pid;
}

static inline void waiting_child_end(pid_t pid) {
        CHECK_INT(kill(pid, SIGKILL), 0);
        CHECK_INT(waitpid(pid, NULL, 0), pid);
}

/* In jiffies since boot. */
static inline uint64_t start_time_of(pid_t pid) {
        _cleanup_free_ char *path = strf("/proc/%d/stat", pid), *text = NULL;
        ProcessStat st;

        CHECK_INT(read_file(path, &text, NULL), 0);
        CHECK_INT(stat_parse(text, &st), 0);
        return st.start_time;
}
