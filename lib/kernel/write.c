/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "kernel/write.h"

enum {
        /* How often a running write asks whether it was cancelled. There is no event to wait for that would not need
         * the engine's socket here. */
        CANCEL_POLL_MSEC = 100,

        /* How long an ended writer may take to die. Offlining looks for signals between two pages; a migration that is
         * under way finishes first. */
        DEATH_TIMEOUT_MSEC = 10 * 1000,
};

/* The writing process: nothing but the write, its errno handed back through the pipe. It keeps no other descriptor, so
 * one that is left behind for ever holds nothing that anybody waits for (journal lock, sockets). */
static _Noreturn void write_child(int pipe_fd, const char *path, const char *value) {
        static const int defaulted[] = { SIGTERM, SIGINT, SIGHUP, SIGALRM };
        sigset_t none;

        /* Only the ending signal may interrupt the write: any pending unblocked signal ends offlining. */
        for (size_t i = 0; i < ELEMENTSOF(defaulted); i++)
                signal(defaulted[i], SIG_DFL);
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);

        if (dup2(pipe_fd, STDIN_FILENO) < 0 || syscall(SYS_close_range, 1u, ~0u, 0u) < 0)
                _exit(EXIT_FAILURE);

        int error = 0;
        int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC | O_NOCTTY);
        if (fd < 0 || write(fd, value, strlen(value)) < 0)
                error = errno;

        ssize_t n = write(STDIN_FILENO, &error, sizeof(error));
        _exit(n == (ssize_t) sizeof(error) ? EXIT_SUCCESS : EXIT_FAILURE);
}

/* Waits up to timeout_msec for the child's answer. 1: *ret_error is the write's errno; 0: not yet; -ECHILD: it died
 * without an answer. */
static int answer_wait(int pipe_fd, int timeout_msec, int *ret_error) {
        struct pollfd p = { .fd = pipe_fd, .events = POLLIN };

        int r = poll(&p, 1, timeout_msec);
        if (r < 0)
                return errno == EINTR ? 0 : -errno;
        if (r == 0)
                return 0;

        int error = 0;
        ssize_t n = read(pipe_fd, &error, sizeof(error));
        if (n != (ssize_t) sizeof(error))
                return -ECHILD;
        *ret_error = error;
        return 1;
}

static void writer_end(pid_t pid, int pipe_fd) {
        int error;

        kill(pid, SIGKILL);
        (void) answer_wait(pipe_fd, DEATH_TIMEOUT_MSEC, &error);
}

/* Collects a child that has answered or died; one that hangs is left to be collected by whoever inherits it. */
static void writer_reap(pid_t pid) {
        uint64_t deadline = now_monotonic() + USEC_PER_SEC;

        while (waitpid(pid, NULL, WNOHANG) == 0 && now_monotonic() < deadline)
                (void) poll(NULL, 0, 1);
}

static int writer_watch(pid_t pid, int pipe_fd, const WriteOptions *options) {
        uint64_t deadline = now_monotonic() + options->timeout_usec;

        for (;;) {
                int error = 0;
                int r = answer_wait(pipe_fd, CANCEL_POLL_MSEC, &error);
                if (r < 0)
                        return r;
                if (r > 0)
                        return -error;

                bool cancelled = options->kind == WRITE_INTERRUPTIBLE && options->cancelled &&
                                 options->cancelled(options->userdata);
                bool late = now_monotonic() >= deadline;
                if (!cancelled && !late)
                        continue;
                if (options->kind == WRITE_ABANDONABLE)
                        return -EINPROGRESS;

                writer_end(pid, pipe_fd);
                return cancelled ? -ECANCELED : -ETIME;
        }
}

int kernel_write(const char *path, const char *value, const WriteOptions *options) {
        int fds[2];

        if (pipe2(fds, O_CLOEXEC) < 0)
                return -errno;
        _cleanup_close_ int reader = fds[0];
        _cleanup_close_ int writer = fds[1];

        pid_t pid = fork();
        if (pid < 0)
                return -errno;
        if (pid == 0)
                write_child(writer, path, value);

        /* Our copy must go, or a dead writer would not end the pipe. */
        close(TAKE_FD(writer));

        int r = writer_watch(pid, reader, options);
        if (r != -EINPROGRESS)
                writer_reap(pid);
        return r;
}
