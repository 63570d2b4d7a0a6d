/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "holders/scan/bound-sockets.h"
#include "tests/unit/test.h"

enum { SKIPPED = 77 };

/* A child with a network of its own, or -1 where nobody may have one. */
static pid_t live_apart(void) {
        int fds[2];

        CHECK_INT(pipe2(fds, O_CLOEXEC), 0);
        pid_t pid = fork();
        CHECK(pid >= 0);
        if (pid == 0) {
                (void) prctl(PR_SET_PDEATHSIG, SIGKILL); /* a check that fails leaves nobody */
                bool apart = unshare(CLONE_NEWNET) == 0 || unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0;
                if (write(fds[1], apart ? "y" : "n", 1) == 1 && apart)
                        pause();
                _exit(EXIT_SUCCESS);
        }
        char c = 'n';
        CHECK_INT(read(fds[0], &c, 1), 1);
        CHECK(close(fds[0]) == 0 && close(fds[1]) == 0);
        return c == 'y' ? pid : -1;
}

/* As a unit's filter does. */
static void take_setns_away(void) {
        struct sock_filter filter[] = {
                BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
                BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_setns, 0, 1),
                BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
                BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        };
        const struct sock_fprog program = { .len = ELEMENTSOF(filter), .filter = filter };

        CHECK_INT(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
        CHECK_INT(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0), 0);
}

/* A process is looked at again where something was missing, and others may be in the same namespace: that it was asked once, in vain, is no
 * answer for them. */
static void test_asked_in_vain(pid_t pid) {
        _cleanup_free_ char *path = strf("/proc/%d", pid);
        _cleanup_close_ int dirfd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
        HoldTargets targets = { 0 };
        BoundSockets sockets = { 0 };

        CHECK(dirfd >= 0);
        for (unsigned n = 0; n < 3; n++)
                CHECK_INT(bound_sockets_learn(&sockets, &targets, dirfd), -EPERM);
        bound_sockets_done(&sockets);
}

int main(void) {
        pid_t pid = live_apart();

        if (pid < 0)
                return SKIPPED;
        take_setns_away();
        test_asked_in_vain(pid);
        CHECK_INT(kill(pid, SIGKILL), 0);
        return EXIT_SUCCESS;
}
