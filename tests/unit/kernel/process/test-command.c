/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/fileio.h"
#include "kernel/process/apart.h"
#include "kernel/process/command.h"
#include "kernel/process/process-stat.h"
#include "tests/unit/test.h"

static bool yes(void *userdata) {
        return true;
}

static int run(const char *script, uint64_t msec, bool (*cancelled)(void *userdata), CommandResult *ret) {
        const char *const argv[] = { "sh", "-c", script, NULL };
        const CommandOptions options = { .timeout_usec = msec * USEC_PER_MSEC, .cancelled = cancelled };

        return command_run(argv, &options, ret);
}

static void test_result(void) {
        _cleanup_(command_result_done) CommandResult r = { 0 };

        CHECK_INT(run("echo said; echo why >&2; echo; exit 3", 10000, NULL, &r), 0);
        CHECK_INT(r.status, 3);
        CHECK_STR(r.out, "said");
        CHECK_STR(r.err, "why");
}

static void test_silent(void) {
        _cleanup_(command_result_done) CommandResult r = { 0 };
        const char *const argv[] = { "true", NULL };
        const CommandOptions options = { .timeout_usec = 10 * USEC_PER_SEC };

        CHECK_INT(command_run(argv, &options, &r), 0);
        CHECK_INT(r.status, 0);
        CHECK_STR(r.out, "");
        CHECK_STR(r.err, "");
}

/* Nothing of ours gets through: neither the environment nor a descriptor nor a blocked signal. */
static void test_clean(void) {
        _cleanup_(command_result_done) CommandResult r = { 0 };
        sigset_t blocked;

        setenv("LD_SOMETHING", "x", 1);
        (void) sigemptyset(&blocked);
        (void) sigaddset(&blocked, SIGTERM);
        CHECK_INT(sigprocmask(SIG_BLOCK, &blocked, NULL), 0);
        CHECK_INT(run("env | grep -v -e ^PATH= -e ^LC_ALL=C$ -e ^PWD= -e ^_= -e ^SHLVL=; readlink /proc/self/fd/0; "
                      "grep SigBlk /proc/self/status; ls /proc/self/fd | wc -l", 10000, NULL, &r), 0);
        CHECK_STR(r.out, "/dev/null\nSigBlk:\t0000000000000000\n4");
        CHECK_INT(sigprocmask(SIG_UNBLOCK, &blocked, NULL), 0);
}

/* More than we keep does not block the program. */
static void test_talkative(void) {
        _cleanup_(command_result_done) CommandResult r = { 0 };

        CHECK_INT(run("head -c 3000000 /dev/zero | tr '\\0' x; echo end >&2", 20000, NULL, &r), 0);
        CHECK_INT(strlen(r.out), 1024 * 1024);
        CHECK_STR(r.err, "end");
}

/* It is over when the program is, not when what it left behind lets go of the pipes. */
static void test_leaves_a_child(void) {
        _cleanup_(command_result_done) CommandResult r = { 0 };
        uint64_t start = now_monotonic();

        CHECK_INT(run("sleep 100 & echo started", 200000, NULL, &r), 0);
        CHECK_STR(r.out, "started");
        CHECK(now_monotonic() - start < 90 * USEC_PER_SEC);
}

static void test_ended(void) {
        CommandResult r = { 0 };
        uint64_t start = now_monotonic();

        CHECK_INT(run("trap '' TERM; while :; do sleep 1; done", 200, NULL, &r), -ETIME);
        CHECK_INT(run("exec sleep 200", 100000, yes, &r), -ECANCELED);
        CHECK_INT(run("kill -9 $$", 100000, NULL, &r), -ECHILD);
        CHECK(now_monotonic() - start < 90 * USEC_PER_SEC);
        CHECK(!r.out && !r.err);
}

/* The comm of a process that is no zombie, newly allocated; NULL: there is none. */
static char *comm_of(pid_t pid) {
        _cleanup_free_ char *path = strf("/proc/%d/stat", pid), *text = NULL;
        ProcessStat st;

        if (read_file(path, &text, NULL) < 0 || stat_parse(text, &st) < 0 || process_stat_ended(&st))
                return NULL;
        char *open = strchr(text, '('), *end = strrchr(text, ')');
        return open && end ? strndup(open + 1, (size_t) (end - open - 1)) : NULL;
}

static bool is_running(pid_t pid) {
        _cleanup_free_ char *comm = comm_of(pid);

        return streq_ptr(comm, "sleep");
}

/* Once it has become its program. */
static pid_t only_child_of(pid_t pid) {
        _cleanup_free_ char *path = strf("/proc/%d/task/%d/children", pid, pid);

        for (unsigned i = 0; i < 1000; i++) {
                _cleanup_free_ char *text = NULL;
                if (read_file(path, &text, NULL) >= 0 && *text && is_running(atoi(text)))
                        return atoi(text);
                (void) poll(NULL, 0, 10);
        }
        CHECK(!"no child");
        return -1;
}

static char told[256];
static int refusal;

/* The program has not begun: it waits in a copy of ours. */
static int tell(void *userdata, const char *what, int pid, uint64_t start_time, bool mortal) {
        _cleanup_free_ char *path = strf("/proc/%d/comm", pid), *comm = NULL;

        CHECK_INT(read_file(path, &comm, NULL), 0);
        snprintf(told, sizeof(told), "%s, %s, %s", what, mortal ? "mortal" : "for ever", comm);
        return refusal;
}

/* Whoever keeps the record knows of it before it begins, and can keep it from that. */
static void test_told(void) {
        const char *const argv[] = { "sh", "-c", "grep SigBlk /proc/self/status; ls /proc/self/fd | wc -l; readlink /proc/self/fd/0; exit 3", NULL };
        const CommandOptions options = { .what = "mdadm --stop", .timeout_usec = 10 * USEC_PER_SEC };
        _cleanup_(command_result_done) CommandResult r = { 0 }, none = { 0 };

        apart_set_witness(tell, NULL);
        CHECK_INT(command_run(argv, &options, &r), 0);
        CHECK_STR(told, "mdadm --stop, mortal, test-command\n");
        CHECK_INT(r.status, 3);
        CHECK_STR(r.out, "SigBlk:\t0000000000000000\n4\n/dev/null");
        refusal = -EROFS;
        CHECK_INT(command_run(argv, &options, &none), -EROFS);
        apart_set_witness(NULL, NULL);
}

/* It does not outlive whoever wanted it. */
static void test_dies_with_us(void) {
        const char *const argv[] = { "sleep", "600", NULL };
        const CommandOptions options = { .what = "sleep", .timeout_usec = 600 * USEC_PER_SEC };
        pid_t pid = fork();
        CHECK(pid >= 0);
        if (pid == 0) {
                CommandResult r = { 0 };
                _exit(command_run(argv, &options, &r) < 0);
        }
        pid_t child = only_child_of(pid);
        CHECK_INT(kill(pid, SIGKILL), 0);
        CHECK_INT(waitpid(pid, NULL, 0), pid);
        WAIT_FOR(!is_running(child));
}

static void test_missing(void) {
        const char *const argv[] = { "no-such-program-anywhere", NULL }, *const absolute[] = { "/no/such/program", NULL };
        const CommandOptions options = { .timeout_usec = USEC_PER_SEC };
        CommandResult r = { 0 };

        CHECK_INT(command_run(argv, &options, &r), -ENOENT);
        CHECK_INT(command_run(absolute, &options, &r), -ENOENT);
}

int main(void) {
        test_result();
        test_silent();
        test_clean();
        test_talkative();
        test_leaves_a_child();
        test_ended();
        test_told();
        test_dies_with_us();
        test_missing();
        return EXIT_SUCCESS;
}
