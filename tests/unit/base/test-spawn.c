/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/spawn.h"
#include "tests/unit/test.h"

#define SOON (now_monotonic() + 10 * USEC_PER_SEC)

/* What is in the pipe; its writing end is closed unless `open`. */
static int read_pipe(const char *text, size_t length, bool open, uint64_t deadline, size_t max, char **ret) {
        int fds[2];

        CHECK(pipe2(fds, O_CLOEXEC) >= 0);
        CHECK_INT(write(fds[1], text, length), (ssize_t) length);
        if (!open)
                close(fds[1]);
        int r = read_to_end(fds[0], deadline, max, ret);
        close(fds[0]);
        if (open)
                close(fds[1]);
        return r;
}

static void test_whole(void) {
        _cleanup_free_ char *text = NULL, *empty = NULL, *binary = NULL;

        CHECK_INT(read_pipe("hello", 5, false, SOON, 100, &text), 0);
        CHECK_STR(text, "hello");
        CHECK_INT(read_pipe("", 0, false, SOON, 100, &empty), 0);
        CHECK_STR(empty, "");
        CHECK_INT(read_pipe("a\0b", 3, false, SOON, 100, &binary), 0);
        CHECK(memcmp(binary, "a\0b", 4) == 0);
}

static void test_too_long(void) {
        char *text = NULL;

        CHECK_INT(read_pipe("0123456789", 10, false, SOON, 10, &text), 0);
        free(TAKE_PTR(text));
        CHECK_INT(read_pipe("0123456789", 10, false, SOON, 9, &text), -EFBIG);
        CHECK(!text);
        /* It is not read to its end for that, which may never come. */
        CHECK_INT(read_pipe("0123456789", 10, true, SOON, 9, &text), -EFBIG);
        CHECK(!text);
}

/* Who keeps the other end open and says nothing, or no more, has until the deadline. */
static void test_time(void) {
        char *text = NULL;
        uint64_t start = now_monotonic();

        CHECK_INT(read_pipe("some", 4, true, start + 200 * USEC_PER_MSEC, 100, &text), -ETIMEDOUT);
        CHECK(!text && now_monotonic() >= start + 200 * USEC_PER_MSEC);
        CHECK_INT(read_pipe("some", 4, false, now_monotonic(), 100, &text), -ETIMEDOUT);
        CHECK(!text);
}

/* More than a pipe holds, in pieces, with a signal in between. */
static void test_pieces(void) {
        static const size_t pieces = 300, size = 4096;
        _cleanup_free_ char *text = NULL;
        char piece[4096];
        int fds[2], status;

        CHECK(pipe2(fds, O_CLOEXEC) >= 0);
        memset(piece, 'x', sizeof(piece));
        pid_t parent = getpid(), pid = fork();
        if (pid == 0) {
                close(fds[0]);
                for (size_t i = 0; i < pieces; i++) {
                        if (i % 50 == 0)
                                (void) kill(parent, SIGUSR1);
                        if (write(fds[1], piece, size) != (ssize_t) size)
                                _exit(1);
                }
                _exit(0);
        }
        CHECK(pid > 0);
        close(fds[1]);
        CHECK_INT(read_to_end(fds[0], now_monotonic() + 60 * USEC_PER_SEC, pieces * size, &text), 0);
        close(fds[0]);
        CHECK_INT(strlen(text), pieces * size);
        CHECK_INT(strspn(text, "x"), pieces * size);
        CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void on_signal(int signal) {
}

int main(void) {
        const struct sigaction interrupts = { .sa_handler = on_signal }; /* and nothing is restarted for it */

        CHECK(sigaction(SIGUSR1, &interrupts, NULL) >= 0);
        test_whole();
        test_too_long();
        test_time();
        test_pieces();
        CHECK_INT(read_to_end(-EBADF, now_monotonic(), 10, &(char *) { NULL }), -ETIMEDOUT);
        return EXIT_SUCCESS;
}
