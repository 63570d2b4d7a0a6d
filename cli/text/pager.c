/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>

#include "pager.h"

enum {
        ARGS_MAX = 16,
};

/* Root's pager could start any program, and whoever may run this command by sudo may do no more than that: it is less, told to start nothing. */
static bool is_privileged(void) {
        return geteuid() == 0 || geteuid() != getuid();
}

/* "" and "cat": none. NULL: nothing was said. */
static const char *wanted(void) {
        const char *pager = getenv("SAFE_REMOVE_PAGER") ?: getenv("PAGER");

        if (pager && (!*pager || streq(pager, "cat")))
                return "";
        return is_privileged() ? NULL : pager;
}

static pid_t start(char *command, int fd) {
        char *argv[ARGS_MAX + 1] = { NULL };
        posix_spawn_file_actions_t actions;
        char *state = NULL;
        size_t n = 0;
        pid_t pid;

        for (char *word = strtok_r(command, " ", &state); word && n < ARGS_MAX; word = strtok_r(NULL, " ", &state))
                argv[n++] = word;
        if (n == 0 || posix_spawn_file_actions_init(&actions) != 0)
                return -1;
        int r = posix_spawn_file_actions_adddup2(&actions, fd, STDIN_FILENO);
        if (r == 0)
                r = posix_spawnp(&pid, argv[0], &actions, NULL, argv, environ);
        (void) posix_spawn_file_actions_destroy(&actions);
        return r == 0 ? pid : -1;
}

static void feed(int fd, const char *text) {
        for (size_t n = strlen(text); n > 0;) {
                ssize_t k = write(fd, text, n);
                if (k < 0 && errno == EINTR)
                        continue;
                if (k < 0)
                        return; /* it was left before the end */
                text += k;
                n -= (size_t) k;
        }
}

bool pager_show(const char *text, bool utf8) {
        const char *pager = wanted();
        int fds[2];

        if (pager && !*pager)
                return false;
        _cleanup_free_ char *command = strdup(pager ?: "less");
        if (!command || pipe2(fds, O_CLOEXEC) < 0)
                return false;
        _cleanup_close_ int from = fds[0], to = fds[1];

        (void) setenv("LESS", getenv("SAFE_REMOVE_LESS") ?: "FRSXMK", 1);
        if (utf8)
                (void) setenv("LESSCHARSET", "utf-8", 1);
        if (is_privileged())
                (void) setenv("LESSSECURE", "1", 1);
        fflush(stdout);
        pid_t pid = start(command, from);
        if (pid < 0)
                return false;

        /* Ctrl-C is the pager's; a pager that was left early reads no more. */
        (void) signal(SIGINT, SIG_IGN);
        (void) signal(SIGPIPE, SIG_IGN);
        close(TAKE_FD(from));
        feed(to, text);
        close(TAKE_FD(to));
        while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
                continue;
        (void) signal(SIGINT, SIG_DFL);
        (void) signal(SIGPIPE, SIG_DFL);
        return true;
}
