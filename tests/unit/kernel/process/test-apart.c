/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "kernel/process/apart.h"
#include "tests/unit/test.h"

static int fork_error; /* what the machine says that has no process left */

/* In front of the C library's. */
pid_t fork(void) {
        pid_t (*real)(void) = (pid_t (*)(void)) dlsym(RTLD_NEXT, "fork");

        errno = fork_error;
        return fork_error ? -1 : real();
}

static int answer(void *data, char **ret_text) {
        size_t length = *(size_t *) data;

        if (length > 0) {
                *ret_text = malloc(length + 1);
                CHECK(*ret_text);
                memset(*ret_text, 'x', length);
                (*ret_text)[length] = '\0';
        }
        return length > 0 ? -EBUSY : 0;
}

static int die(void *data, char **ret_text) {
        raise(SIGKILL);
        return 0;
}

static int hang(void *data, char **ret_text) {
        poll(NULL, 0, *(int *) data);
        return 0;
}

static int count_descriptors(void *data, char **ret_text) {
        int n = 0;

        for (int fd = 0; fd < 100; fd++)
                n += fcntl(fd, F_GETFD) >= 0;
        return n;
}

static bool yes(void *userdata) {
        return true;
}

static void test_answers(void) {
        static const size_t lengths[] = { 0, 1, 4096, 300 * 1000 };
        const ApartOptions options = { .timeout_usec = 30 * USEC_PER_SEC };

        for (size_t i = 0; i < ELEMENTSOF(lengths); i++) {
                _cleanup_free_ char *text = NULL;
                size_t length = lengths[i];

                CHECK_INT(run_apart(answer, &length, &options, &text), length > 0 ? -EBUSY : 0);
                CHECK_INT(text ? strlen(text) : 0, length);
                CHECK_INT(run_apart(answer, &length, &options, NULL), length > 0 ? -EBUSY : 0);
        }
        CHECK_INT(run_apart(die, NULL, &options, NULL), -ECHILD);
        CHECK_INT(run_apart(count_descriptors, NULL, &options, NULL), 1);
}

static void test_deadlines(void) {
        int msec = 60 * 1000;
        ApartOptions options = { .timeout_usec = 200 * USEC_PER_MSEC, .cancelled = yes };

        /* What cannot be ended is left behind, whoever cancels, and only at the deadline. */
        uint64_t start = now_monotonic();
        int brief = 1000;
        CHECK_INT(run_apart(hang, &brief, &options, NULL), -EINPROGRESS);
        CHECK(now_monotonic() - start >= 200 * USEC_PER_MSEC);

        options.interruptible = true;
        options.timeout_usec = 600 * USEC_PER_SEC;
        CHECK_INT(run_apart(hang, &msec, &options, NULL), -ECANCELED);
        options.cancelled = NULL;
        options.timeout_usec = 200 * USEC_PER_MSEC;
        CHECK_INT(run_apart(hang, &msec, &options, NULL), -ETIME);
}

typedef struct Unwilling {
        volatile pid_t pid;
        volatile int traced;
} Unwilling;

static int be_unwilling(void *data, char **ret_text) {
        Unwilling *u = data;

        (void) prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY);
        u->pid = getpid();
        for (;;)
                (void) poll(NULL, 0, 10);
        return 0;
}

/* Whoever ends it is kept waiting at its exit, as by the kernel. */
static pid_t trace(Unwilling *u) {
        pid_t pid = fork();

        CHECK(pid >= 0);
        if (pid == 0) {
                (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
                while (u->pid == 0)
                        (void) poll(NULL, 0, 1);
                u->traced = ptrace(PTRACE_SEIZE, u->pid, NULL, PTRACE_O_TRACEEXIT) < 0 ? -errno : 1;
                for (;;)
                        pause();
        }
        return pid;
}

static bool is_traced(void *userdata) {
        const Unwilling *u = userdata;

        return u->traced != 0;
}

/* What a signal should have ended and has not may do its work yet: nobody says that it was ended, and who waits for that. */
static void test_does_not_end(void) {
        Unwilling *u = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        const ApartOptions options = { .interruptible = true, .timeout_usec = 600 * USEC_PER_SEC, .cancelled = is_traced, .userdata = u };

        CHECK((void *) u != MAP_FAILED);
        pid_t tracer = trace(u);
        int r = run_apart(be_unwilling, u, &options, NULL);
        if (u->traced == 1)
                CHECK_INT(r, -EINPROGRESS);
        CHECK_INT(kill(tracer, SIGKILL), 0);
        CHECK_INT(waitpid(tracer, NULL, 0), tracer);
        if (r == -EINPROGRESS)
                CHECK_INT(waitpid(u->pid, NULL, 0), u->pid);
        CHECK_INT(munmap(u, 4096), 0);
}

static int count_up(void *data, char **ret_text) {
        volatile uint64_t *count = data;

        for (;;) {
                ++*count;
                (void) poll(NULL, 0, 1);
        }
        return 0;
}

/* Whoever counts stops with its end. */
static void check_ends_with(pid_t pid, volatile uint64_t *count) {
        while (*count < 10)
                (void) poll(NULL, 0, 1);
        CHECK_INT(kill(pid, SIGKILL), 0);
        CHECK_INT(waitpid(pid, NULL, 0), pid);
        bool ended = false;
        for (unsigned i = 0; i < 200 && !ended; i++) {
                uint64_t before = *count;
                (void) poll(NULL, 0, 50);
                ended = *count == before;
        }
        CHECK(ended);
}

/* Work that can be ended does not go on behind whoever wanted it. */
static void test_orphan(void) {
        volatile uint64_t *count = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        const ApartOptions options = { .interruptible = true, .timeout_usec = 600 * USEC_PER_SEC };

        CHECK((void *) count != MAP_FAILED);
        pid_t pid = fork();
        CHECK(pid >= 0);
        if (pid == 0)
                _exit(run_apart(count_up, (void *) count, &options, NULL) < 0);
        check_ends_with(pid, count);
}

/* Takes its time of running, not of the clock. */
static int run_for_a_while(void *data, char **ret_text) {
        for (unsigned i = 0; i < 30; i++)
                (void) poll(NULL, 0, 20);
        return 0;
}

/* Who is stopped together with the work and goes on gives it its time all the same. */
static void test_stopped(void) {
        const ApartOptions options = { .timeout_usec = USEC_PER_SEC };

        pid_t pid = fork();
        CHECK(pid >= 0);
        if (pid == 0) {
                CHECK_INT(setpgid(0, 0), 0);
                _exit(run_apart(run_for_a_while, NULL, &options, NULL) < 0);
        }
        (void) setpgid(pid, pid);
        (void) poll(NULL, 0, 100);
        CHECK_INT(kill(-pid, SIGSTOP), 0);
        (void) poll(NULL, 0, 2500);
        CHECK_INT(kill(-pid, SIGCONT), 0);
        int status;
        CHECK_INT(waitpid(pid, &status, 0), pid);
        CHECK_INT(status, 0);
}

/* Where there is no descriptor left to look with, nobody has ended. */
static void test_cannot_look(void) {
        struct rlimit was, none;

        CHECK(getrlimit(RLIMIT_NOFILE, &was) == 0);
        none = (struct rlimit) { .rlim_cur = 0, .rlim_max = was.rlim_max };
        CHECK(!apart_is_alive(getpid(), 1));
        CHECK(setrlimit(RLIMIT_NOFILE, &none) == 0);
        bool alive = apart_is_alive(getpid(), 1);
        CHECK(setrlimit(RLIMIT_NOFILE, &was) == 0);
        CHECK(alive);
        CHECK(!apart_is_alive(INT_MAX, 1));
}

typedef struct Told {
        int pid, answer;
        uint64_t start_time;
} Told;

static int tell(void *userdata, const char *what, int pid, uint64_t start_time, bool mortal) {
        Told *t = userdata;

        CHECK(!mortal);
        t->pid = pid;
        t->start_time = start_time;
        return t->answer;
}

static int tell_mortal(void *userdata, const char *what, int pid, uint64_t start_time, bool mortal) {
        CHECK(mortal);
        return 0;
}

/* Nobody makes the machine so full that a slot is not held: who may be left behind does the work himself, and is told of. */
static void test_no_process_left(void) {
        const ApartOptions options = { .what = "a slot", .timeout_usec = 30 * USEC_PER_SEC };
        Told told = { 0 };
        size_t none = 0;

        apart_set_witness(tell, &told);
        fork_error = EAGAIN;
        CHECK_INT(run_apart(answer, &none, &options, NULL), -EAGAIN);
        CHECK_INT(told.pid, 0);

        fork_error = 0;
        pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0) {
                apart_be_expendable();
                fork_error = EAGAIN;
                for (size_t length = 0; length < 8; length += 7) {
                        _cleanup_free_ char *text = NULL;

                        CHECK_INT(run_apart(answer, &length, &options, &text), length > 0 ? -EBUSY : 0);
                        CHECK_INT(text ? strlen(text) : 0, length);
                }
                CHECK_INT(told.pid, getpid());
                CHECK(apart_is_alive(told.pid, told.start_time));

                /* A witness who refuses has the last word. */
                told.answer = -EROFS;
                CHECK_INT(run_apart(answer, &none, &options, NULL), -EROFS);
                fork_error = 0;
                CHECK_INT(run_apart(answer, &none, &options, NULL), -EROFS);

                /* As long as there is one it is another process. */
                told.answer = 0;
                CHECK_INT(run_apart(answer, &none, &options, NULL), 0);
                CHECK(told.pid != getpid());
                _exit(EXIT_SUCCESS);
        }
        int status;
        CHECK(waitpid(child, &status, 0) == child);
        CHECK_INT(status, 0);
        apart_set_witness(NULL, NULL);
}

static unsigned *times; /* shared with those who do the work */

static int say_who(void *data, char **ret_text) {
        (*times)++;
        *ret_text = strf("%d %d %s", (int) getpid(), (int) getppid(), (const char *) data);
        return *ret_text ? 0 : -ENOMEM;
}

/* Is it a child of ours, and the one that was told of before it began? */
static void check_who(const Told *told) {
        const ApartOptions options = { .what = "a slot", .flat = sizeof("slot 2"), .timeout_usec = 30 * USEC_PER_SEC };
        _cleanup_free_ char *text = NULL, *wanted = NULL;

        CHECK_INT(run_apart(say_who, (char[]) { "slot 2" }, &options, &text), 0);
        wanted = strf("%d %d slot 2", told->pid, (int) getpid());
        CHECK_STR(text, wanted);
        CHECK(!apart_is_alive(told->pid, told->start_time) && kill(told->pid, 0) < 0);
}

static int last_child(void) {
        _cleanup_fclose_ FILE *f = fopen("/proc/thread-self/children", "re");
        int pid = 0;

        while (f && fscanf(f, "%d", &pid) == 1)
                continue;
        CHECK(pid > 0);
        return pid;
}

static int count_by_reference(void *data, char **ret_text) {
        return count_up(*(void **) data, ret_text);
}

/* What somebody who is killed had begun, and a signal ends, ends with him. */
static void orphan_of_ready(uint64_t *count) {
        const ApartOptions options = { .what = "a slot", .flat = sizeof(count), .interruptible = true, .timeout_usec = 600 * USEC_PER_SEC };
        Told told = { 0 };

        apart_set_witness(tell_mortal, &told);
        apart_make_ready();
        fork_error = EAGAIN;
        _exit(run_apart(count_by_reference, &count, &options, NULL) < 0);
}

static void test_orphan_of_ready(void) {
        volatile uint64_t *count = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

        CHECK((void *) count != MAP_FAILED);
        pid_t pid = fork();
        CHECK(pid >= 0);
        if (pid == 0)
                orphan_of_ready((uint64_t *) count);
        check_ends_with(pid, count);
}

/* A process that was made before makes those that have nothing to know of us. They are ours like others, and where it is gone others do it. */
static void test_ready(void) {
        const ApartOptions options = { .what = "a slot", .flat = 1, .timeout_usec = 30 * USEC_PER_SEC };
        Told told = { 0 };

        times = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        CHECK((void *) times != MAP_FAILED);
        apart_set_witness(tell, &told);
        apart_make_ready();
        fork_error = EAGAIN; /* it needs none */
        check_who(&told);
        check_who(&told);
        CHECK_INT(*times, 2);

        told.answer = -ENOSPC;
        CHECK_INT(run_apart(say_who, (char[]) { "" }, &options, NULL), -ENOSPC);
        CHECK_INT(*times, 2);

        /* Killed is the one that waits for the next order, and with the next one the one that would have made another. */
        told.answer = fork_error = 0;
        for (unsigned i = 0; i < 2; i++) {
                int ready = last_child();
                CHECK_INT(kill(ready, SIGKILL), 0);
                CHECK_INT(waitpid(ready, NULL, 0), ready);
                check_who(&told);
                CHECK_INT(*times, 3 + i);
        }
        apart_set_witness(NULL, NULL);
}

int main(void) {
        (void) signal(SIGPIPE, SIG_IGN);
        test_cannot_look();
        test_no_process_left();
        test_answers();
        test_deadlines();
        test_does_not_end();
        test_orphan();
        test_stopped();
        test_orphan_of_ready();
        test_ready();
        return EXIT_SUCCESS;
}
