/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <signal.h>

#include "base/clock.h"
#include "kernel/command.h"
#include "test.h"

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

        CHECK_INT(run("sleep 20 & echo started", 10000, NULL, &r), 0);
        CHECK_STR(r.out, "started");
        CHECK(now_monotonic() - start < 5 * USEC_PER_SEC);
}

static void test_ended(void) {
        CommandResult r = { 0 };
        uint64_t start = now_monotonic();

        CHECK_INT(run("trap '' TERM; while :; do sleep 1; done", 200, NULL, &r), -ETIME);
        CHECK_INT(run("exec sleep 20", 10000, yes, &r), -ECANCELED);
        CHECK_INT(run("kill -9 $$", 10000, NULL, &r), -ECHILD);
        CHECK(now_monotonic() - start < 8 * USEC_PER_SEC);
        CHECK(!r.out && !r.err);
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
        test_missing();
        return EXIT_SUCCESS;
}
