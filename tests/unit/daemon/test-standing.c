/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who stands still, and who gets on between two looks at which he stands. */
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/guard/standing.h"
#include "test.h"

enum {
        LOOKS = 10,
};

/* It stops itself, and does so again each time that it is continued. */
static pid_t child_new(void) {
        pid_t pid = fork();
        while (pid == 0)
                (void) raise(SIGSTOP);
        CHECK(pid > 0 && waitpid(pid, NULL, WUNTRACED) == pid);
        return pid;
}

static void child_end(pid_t pid) {
        CHECK_INT(kill(pid, SIGKILL), 0);
        CHECK(waitpid(pid, NULL, 0) == pid);
}

static int looks_until(Standing *s, pid_t pid, int *ret_tracer) {
        for (int i = 1; i <= 3 * LOOKS; i++)
                if (standing_look(s, pid, ret_tracer))
                        return i;
        return 0;
}

static void test_signal(void) {
        Standing s = { 0 };
        pid_t pid = child_new();
        int tracer = -1;

        CHECK_INT(looks_until(&s, pid, &tracer), LOOKS);
        CHECK_INT(tracer, 0);
        CHECK_INT(looks_until(&s, pid, &tracer), 0); /* it is told once */
        child_end(pid);
}

/* As strace(1) has somebody stand and go on at each call. */
static void test_gets_on(void) {
        Standing s = { 0 };
        pid_t pid = child_new();
        int tracer;

        for (int i = 0; i < 3 * LOOKS; i++) {
                CHECK(!standing_look(&s, pid, &tracer));
                CHECK_INT(kill(pid, SIGCONT), 0);
                CHECK(waitpid(pid, NULL, WUNTRACED) == pid);
        }
        CHECK_INT(looks_until(&s, pid, &tracer), LOOKS);
        child_end(pid);
}

static void test_tracer(void) {
        Standing s = { 0 };
        pid_t pid = child_new();
        int tracer = 0;

        if (ptrace(PTRACE_SEIZE, pid, NULL, NULL) < 0) {
                child_end(pid);
                return;
        }
        CHECK(waitpid(pid, NULL, __WALL) == pid);
        CHECK_INT(looks_until(&s, pid, &tracer), LOOKS);
        CHECK_INT(tracer, getpid());
        child_end(pid);
}

/* Who waits, or is gone, does not stand. */
static void test_waits(void) {
        Standing s = { 0 };
        pid_t pid = fork();
        int tracer;

        while (pid == 0)
                (void) pause();
        CHECK_INT(looks_until(&s, pid, &tracer), 0);
        child_end(pid);
        CHECK_INT(looks_until(&s, pid, &tracer), 0);
}

int main(void) {
        test_signal();
        test_gets_on();
        test_tracer();
        test_waits();
        return EXIT_SUCCESS;
}
