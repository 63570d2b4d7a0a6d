/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "kernel/process/apart.h"
#include "kernel/process/kernel-stack.h"
#include "kernel/process/ready.h"
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

/* Work that can be ended does not outlive whoever wanted it. */
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

static int first_child(void) {
        _cleanup_fclose_ FILE *f = fopen("/proc/thread-self/children", "re");
        int pid = 0;

        CHECK(f && fscanf(f, "%d", &pid) == 1 && pid > 0);
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

static void kill_child(int pid) {
        CHECK_INT(kill(pid, SIGKILL), 0);
        CHECK_INT(waitpid(pid, NULL, 0), pid);
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

        /* Killed is the one that would have made another. */
        told.answer = fork_error = 0;
        kill_child(first_child());
        check_who(&told);
        CHECK_INT(*times, 3);
        apart_set_witness(NULL, NULL);
}

/* No process makes one for its parent any more, as `serve` does in ready.c. */
static void take_clone_away(void) {
        struct sock_filter filter[] = {
                BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
                BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 0, 3),
                BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])),
                BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, CLONE_PARENT, 0, 1),
                BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EAGAIN),
                BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        };
        const struct sock_fprog program = { .len = ELEMENTSOF(filter), .filter = filter };

        CHECK_INT(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
        CHECK_INT(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0), 0);
}

static void never(const int fds[static READY_FDS]) {
        _exit(EXIT_FAILURE);
}

static void ready_in_vain(void) {
        const ApartOptions options = { .what = "a slot", .flat = sizeof("slot 2"), .timeout_usec = 30 * USEC_PER_SEC };
        const int fds[READY_FDS] = { STDIN_FILENO, STDIN_FILENO };
        pid_t pid = 0;

        take_clone_away();
        CHECK_INT(ready_ask(fds), -ENOTCONN);
        fork_error = ENOMEM;
        CHECK_INT(ready_make(never), -ENOMEM);
        fork_error = 0;
        CHECK_INT(ready_make(never), 0);
        CHECK_INT(ready_ask(fds), 0);
        CHECK_INT(ready_take(&pid), -EAGAIN);
        CHECK_INT(pid, 0);
        CHECK_INT(ready_ask(fds), -ENOTCONN);
        CHECK_INT(ready_take(&pid), -ENOTCONN);

        /* And whoever wants something done does it by himself, or hears that he cannot. */
        apart_make_ready();
        CHECK_INT(run_apart(say_who, (char[]) { "slot 2" }, &options, NULL), 0);
        fork_error = EAGAIN;
        CHECK_INT(run_apart(say_who, (char[]) { "slot 2" }, &options, NULL), -EAGAIN);
        _exit(EXIT_SUCCESS);
}

/* The one that makes others can make none. */
static void test_ready_in_vain(void) {
        int status;

        pid_t pid = fork();
        CHECK(pid >= 0);
        if (pid == 0)
                ready_in_vain();
        CHECK_INT(waitpid(pid, &status, 0), pid);
        CHECK(WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SUCCESS);
}

/* What a witness of ends hears. */
static struct {
        int pid, times, answer;
        uint64_t start_time;
} ended;

static int tell_end(void *userdata, int pid, uint64_t start_time) {
        ended.pid = pid;
        ended.start_time = start_time;
        ended.times++;
        return ended.answer;
}

static int tell_any(void *userdata, const char *what, int pid, uint64_t start_time, bool mortal) {
        Told *t = userdata;

        t->pid = pid;
        t->start_time = start_time;
        return 0;
}

static void begin_with_writer(Told *told) {
        apart_set_witness(tell_any, told);
        apart_set_witness_of_end(tell_end);
        apart_make_ready();
        fork_error = EAGAIN; /* it needs none */
}

/* Who does it: the writer, which was told of before, and is at nothing after it. */
static int check_writer(const Told *told) {
        const ApartOptions options = { .what = "a slot", .flat = sizeof("slot 2"), .timeout_usec = 30 * USEC_PER_SEC };
        _cleanup_free_ char *text = NULL, *wanted = NULL;
        int before = ended.times;

        CHECK_INT(run_apart(say_who, (char[]) { "slot 2" }, &options, &text), 0);
        wanted = strf("%d %d slot 2", told->pid, (int) getpid());
        CHECK_STR(text, wanted);
        CHECK_INT(ended.times, before + 1);
        CHECK(ended.pid == told->pid && ended.start_time == told->start_time);
        CHECK(apart_is_alive(told->pid, told->start_time) == (ended.answer >= 0));
        return told->pid;
}

static int leave_open(void *data, char **ret_text) {
        return dup(STDIN_FILENO) < 0 ? -errno : count_descriptors(data, ret_text);
}

/* As long as it ends with all that it does, it is one and the same. It holds nothing of what it did before. */
static void one_after_the_other(void) {
        ApartOptions options = { .what = "a slot", .flat = 1, .timeout_usec = 30 * USEC_PER_SEC };
        Told told = { 0 };

        begin_with_writer(&told);
        int first = check_writer(&told);
        CHECK_INT(check_writer(&told), first);
        CHECK_INT(run_apart(leave_open, (char[]) { "" }, &options, NULL), 3);
        CHECK_INT(run_apart(leave_open, (char[]) { "" }, &options, NULL), 3);
        CHECK_INT(check_writer(&told), first);

        /* What is to go on without us needs one of its own. */
        options.outlives = true;
        fork_error = 0;
        CHECK_INT(run_apart(leave_open, (char[]) { "" }, &options, NULL), 2);
        CHECK(told.pid != first);
        fork_error = EAGAIN;
        CHECK_INT(check_writer(&told), first);

        /* Whoever would be on record as at it still has to end, and so has who tells of a witness that hears of no end. */
        ended.answer = -ENOSPC;
        CHECK_INT(check_writer(&told), first);
        ended.answer = 0;
        int second = check_writer(&told);
        CHECK(second != first);
        kill_child(second);
        second = check_writer(&told);
        apart_set_witness(tell_any, &told);
        check_who(&told);
        CHECK_INT(told.pid, second);
        check_who(&told);
        CHECK(told.pid != second);
}

static int who_looks(void) {
        const ApartOptions options = { .interruptible = true, .flat = 1, .timeout_usec = 30 * USEC_PER_SEC };
        _cleanup_free_ char *text = NULL;
        int pid = 0;

        CHECK_INT(run_apart(say_who, (char[]) { "" }, &options, &text), 0);
        CHECK(text && sscanf(text, "%d", &pid) == 1);
        return pid;
}

/* Who looks is never on record, so he is another one: a look that hangs is no write. */
static void one_that_looks(void) {
        const ApartOptions brief = { .interruptible = true, .flat = sizeof(int), .timeout_usec = 200 * USEC_PER_MSEC };
        int msec = 60 * 1000;
        Told told = { 0 };

        begin_with_writer(&told);
        int looks = who_looks();
        CHECK_INT(told.pid, 0);
        int writes = check_writer(&told);
        CHECK(writes != looks);
        CHECK_INT(who_looks(), looks);
        CHECK_INT(run_apart(hang, &msec, &brief, NULL), -ETIME);
        int next = who_looks();
        CHECK(next != looks && next != writes);
        CHECK_INT(check_writer(&told), writes);
        CHECK_INT(ended.times, 2);
}

static int fail_for_now(void *data, char **ret_text) {
        return -EAGAIN;
}

/* One that does not end, or dies, has never ended for that, and the next is another one. */
static void one_that_hangs(void) {
        ApartOptions options = { .what = "a slot", .flat = sizeof(int), .timeout_usec = 200 * USEC_PER_MSEC };
        int msec = 60 * 1000, times_before;
        Told told = { 0 };

        begin_with_writer(&told);
        int first = check_writer(&told);
        times_before = ended.times;
        CHECK_INT(run_apart(hang, &msec, &options, NULL), -EINPROGRESS);
        CHECK_INT(told.pid, first);
        CHECK_INT(ended.times, times_before);
        CHECK(apart_is_alive(first, told.start_time));
        int second = check_writer(&told);
        CHECK(second != first);
        CHECK_INT(check_writer(&told), second);
        kill_child(first);

        options.interruptible = true;
        times_before = ended.times;
        CHECK_INT(run_apart(hang, &msec, &options, NULL), -ETIME);
        CHECK_INT(told.pid, second);
        CHECK(!apart_is_alive(second, told.start_time));
        int third = check_writer(&told);
        CHECK(third != second);

        options.timeout_usec = 30 * USEC_PER_SEC;
        CHECK_INT(run_apart(die, &msec, &options, NULL), -ECHILD);
        CHECK_INT(ended.times, times_before + 1);
        CHECK(!apart_is_alive(third, told.start_time));
        int fourth = check_writer(&told);
        CHECK(fourth != third);

        /* That it is to be tried again is an answer as well. */
        CHECK_INT(run_apart(fail_for_now, &msec, &options, NULL), -EAGAIN);
        CHECK_INT(ended.times, times_before + 3);
        CHECK_INT(check_writer(&told), fourth);
}

static void run_teller(void (*tells)(void)) {
        int status;

        fork_error = 0;
        pid_t pid = fork();
        CHECK(pid >= 0);
        if (pid == 0) {
                tells();
                _exit(EXIT_SUCCESS);
        }
        CHECK_INT(waitpid(pid, &status, 0), pid);
        CHECK_INT(status, 0);
}

/* What a teller that is killed leaves, seen from outside. */
static struct Left {
        volatile uint64_t count;
        volatile int pid;
        volatile uint64_t start_time;
        volatile bool is_there;
} *left;

static int count_on(void *data, char **ret_text) {
        for (unsigned i = 0; i < 30; i++) {
                left->count++;
                (void) poll(NULL, 0, 20);
        }
        return 0;
}

static int tell_left(void *userdata, const char *what, int pid, uint64_t start_time, bool mortal) {
        left->pid = pid;
        left->start_time = start_time;
        return 0;
}

static const ApartOptions for_left = { .what = "a slot", .flat = 1, .timeout_usec = 600 * USEC_PER_SEC };

static void wait_for_end(void) {
        left->is_there = true;
        for (;;)
                pause();
}

static void tell_nothing_more(void) {
        CHECK_INT(run_apart(fail_for_now, (char[]) { "" }, &for_left, NULL), -EAGAIN);
        wait_for_end();
}

/* It is told while it is stopped, and goes on when nobody is there who told it. */
static void tell_stopped(void) {
        Apart a;

        CHECK_INT(run_apart(fail_for_now, (char[]) { "" }, &for_left, NULL), -EAGAIN);
        CHECK_INT(kill(left->pid, SIGSTOP), 0);
        CHECK_INT(apart_start(count_on, (char[]) { "" }, &for_left, &a), 0);
        wait_for_end();
}

static void tell_work(void) {
        left->is_there = true;
        (void) run_apart(count_on, (char[]) { "" }, &for_left, NULL);
}

static void kill_teller(void (*tells)(void), uint64_t count) {
        *left = (struct Left) { 0 };
        fork_error = 0;
        pid_t pid = fork();
        CHECK(pid >= 0);
        if (pid == 0) {
                apart_set_witness(tell_left, NULL);
                apart_set_witness_of_end(tell_end);
                apart_make_ready();
                tells();
                _exit(EXIT_SUCCESS);
        }
        while (!left->is_there || left->count < count)
                (void) poll(NULL, 0, 1);
        CHECK(apart_is_alive(left->pid, left->start_time));
        CHECK_INT(kill(pid, SIGKILL), 0);
        CHECK_INT(waitpid(pid, NULL, 0), pid);
        for (unsigned i = 0; i < 1000 && apart_is_alive(left->pid, left->start_time); i++)
                (void) poll(NULL, 0, 10);
        CHECK(!apart_is_alive(left->pid, left->start_time));
}

static void test_writer(void) {
        left = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        CHECK((void *) left != MAP_FAILED);
        run_teller(one_after_the_other);
        run_teller(one_that_hangs);
        run_teller(one_that_looks);

        /* At nothing it ends with its teller, and begins nothing for one that has ended. What nothing interrupts goes on, and is the last. */
        kill_teller(tell_nothing_more, 0);
        kill_teller(tell_stopped, 0);
        CHECK_INT(left->count, 0);
        kill_teller(tell_work, 1);
        CHECK_INT(left->count, 30);
}

/* What the kernel says of where a process waits is a list of names, however long and whatever else is in it. */
static void test_kernel_stack(void) {
        static const char stack[] = "[<0>] folio_wait_bit_common+0x12/0x330\n[<0>] __se_sys_sync.isra.0+0x1/0x2 [xfs]\n[<0>] \n\n[<0>] 0xffffffff\n[<0>] \x1b[31mred\n"
                                    "[<0>] c\n[<0>] d\n[<0>] e\n[<0>] f\n[<0>] g\n[<0>] h\n[<0>] i\n[<0>] j\n";
        _cleanup_free_ char *names = kernel_stack_names(stack), *wait = kernel_stack_names("do_wait"), *none = kernel_stack_names("0"), *empty = kernel_stack_names("");

        CHECK_STR(names, "folio_wait_bit_common, __se_sys_sync.isra.0, c, d, e, f, g, h");
        CHECK_STR(wait, "do_wait");
        CHECK(!none && !empty && !kernel_stack(0x7fffffff));
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
        test_ready_in_vain();
        test_writer();
        test_kernel_stack();
        return EXIT_SUCCESS;
}
