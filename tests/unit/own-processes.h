/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>

#include "test.h"

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
