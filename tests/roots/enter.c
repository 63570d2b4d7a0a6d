/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* enter MACHINE COMMAND...: runs a command on a recorded machine (lib/recorded/recording.h tells the format), whose /sys, /proc and /dev lie over the real
 * ones, so that libraries with built-in paths run unchanged. Of the real /proc there is what was not recorded, but no process that was not: the running
 * ones say nothing about the recorded machine. Needs no privileges where user namespaces are allowed; ends with 77, which meson understands as
 * "skipped", where they are not. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "daemon/simulate/sandbox.h"
#include "recorded/dress.h"

enum {
        SKIPPED = 77,
        NOT_RUN = 127,
        KILLED = 128,
        NUMBERS_MAX = 10000,    /* every number there is may be recorded */
};

static _Noreturn void end_as(pid_t pid) {
        int status;

        while (waitpid(pid, &status, 0) < 0)
                if (errno != EINTR)
                        _exit(NOT_RUN);
        _exit(WIFSIGNALED(status) ? KILLED + WTERMSIG(status) : WEXITSTATUS(status));
}

/* A recorded process may have the number that we were given: then a child with another one does it, and we wait. It says by a byte that it has one. */
static int get_number(void) {
        int r = sandbox_show_self();

        for (size_t tries = 0; r == -EEXIST && tries < NUMBERS_MAX; tries++) {
                char byte = 0;
                int has[2];
                if (pipe2(has, O_CLOEXEC) < 0)
                        return -errno;
                pid_t parent = getpid(), pid = fork();
                if (pid < 0)
                        return -errno;
                if (pid == 0) {
                        if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
                                _exit(NOT_RUN);
                        r = sandbox_show_self();
                        if (r == -EEXIST || write(has[1], &byte, 1) != 1)
                                _exit(NOT_RUN);
                        return r;
                }
                close(has[1]);
                if (read(has[0], &byte, 1) == 1)
                        end_as(pid);
                close(has[0]);
                (void) waitpid(pid, NULL, 0);
        }
        return r;
}

static int run(char *command[]) {
        int r = get_number();

        if (r < 0)
                return r;
        if (setenv("SAFE_REMOVE_RUN_DIR", SANDBOX_RUN, false) < 0 || setenv("SYSTEMD_DEVICE_VERIFY_SYSFS", "0", true) < 0 ||
            setenv("SAFE_REMOVE_PATH", DRESS_PROGRAMS, true) < 0 || setenv("TMPDIR", "/dev/shm", true) < 0)
                return -errno;
        (void) execvp(command[0], command);
        return -errno;
}

int main(int argc, char *argv[]) {
        _cleanup_free_ char *error = NULL;

        if (argc < 3) {
                fprintf(stderr, "usage: enter MACHINE COMMAND...\n");
                return 64;
        }
        int r = sandbox_lay_over(argv[1], &error);
        if (r < 0) {
                fprintf(stderr, "%s\n", error ?: strerror(-r));
                return r == -EUSERS ? SKIPPED : EXIT_FAILURE;
        }
        r = run(argv + 2);
        fprintf(stderr, "%s: %s\n", argv[2], r == -EEXIST ? "every process has had the number of a recorded one" : strerror(-r));
        _exit(NOT_RUN);
}
