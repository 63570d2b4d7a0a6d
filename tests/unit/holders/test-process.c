/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "holders/process.h"
#include "kernel/process/pidfd.h"
#include "kernel/sysfs/attr.h"
#include "tests/unit/own-processes.h"
#include "tests/unit/test.h"

static void test_stat(void) {
        static const char good[] = "12 (a) b) (c) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4711 20 21\n";
        uint64_t v = 0;

        CHECK_INT(stat_start_time(good, &v), 0);
        CHECK_INT(v, 4711);
        CHECK_INT(stat_start_time("12 (a) S 1 2", &v), -EBADMSG);
        CHECK_INT(stat_start_time("12 a S", &v), -EBADMSG);
        CHECK_INT(stat_start_time("12 (a)", &v), -EBADMSG);
        CHECK_INT(stat_start_time("", &v), -EBADMSG);

        static const char kthread[] = "12 (a) b) S 2 0 7 0 -1 2129984 0 0 0 0 10 11 12 13 14 15 16 17 4711 20 21\n";
        ProcessStat st = { 0 };
        CHECK_INT(stat_parse(good, &st), 0);
        CHECK_INT(st.ppid, 1);
        CHECK_INT(st.session, 3);
        CHECK_INT(st.start_time, 4711);
        CHECK_INT(st.state, 'S');
        CHECK(!st.kernel_thread);
        CHECK_INT(stat_parse(kthread, &st), 0);
        CHECK_INT(st.ppid, 2);
        CHECK_INT(st.session, 7);
        CHECK(st.kernel_thread);
        CHECK_INT(stat_parse("12 (a) S 1 -1 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4711 20 21\n", &st), 0);
        CHECK_INT(stat_parse("12 (a) S 1 2 -3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4711 20 21\n", &st), -EBADMSG);
        CHECK_INT(stat_parse("12 (a) S 1 2 3", &st), -EBADMSG);
}

static void test_status(void) {
        uint32_t uid = 0;

        CHECK_INT(status_uid("Name:\tUid:\nState:\tS\nUid:\t1000\t0\t0\t0\nGid:\t5\n", &uid), 0);
        CHECK_INT(uid, 1000);
        CHECK_INT(status_uid("Name:\ta\n", &uid), -EBADMSG);
        CHECK_INT(status_uid("Name:\ta\nUid:\tx\n", &uid), -EBADMSG);
        CHECK_INT(status_tracer("Name:\tTracerPid:\t7\nPPid:\t1\nTracerPid:\t12\nUid:\t0\n"), 12);
        CHECK_INT(status_tracer("Name:\ta\nTracerPid:\tx\n"), -EBADMSG);
        CHECK_INT(status_tracer("Name:\tTracerPid:\n"), -EBADMSG);
}

static void test_ignores(void) {
        static const char status[] = "Name:\ta\nSigBlk:\t0000000000000000\nSigIgn:\t0000000000004001\nSigCgt:\t0000000000010000\n";

        CHECK_INT(status_ignores(status, SIGTERM), 1);
        CHECK_INT(status_ignores(status, SIGHUP), 1);
        CHECK_INT(status_ignores(status, SIGINT), 0);
        CHECK_INT(status_takes(status, SIGTERM), 0);
        CHECK_INT(status_takes(status, SIGBUS), 1);
        CHECK_INT(status_takes(status, SIGCHLD), 0);
        CHECK_INT(status_takes("Name:\ta\nSigIgn:\t0000000000000000\n", SIGBUS), -EBADMSG);
        CHECK_INT(status_ignores("Name:\tSigIgn:\n", SIGTERM), -EBADMSG);
        CHECK_INT(status_ignores("Name:\ta\nSigIgn:\tno\n", SIGTERM), -EBADMSG);
}

/* A number alone is nobody. */
static void test_open(void) {
        _cleanup_close_ int dirfd = -EBADF, pidfd = -EBADF;
        ProcessStat st;

        pid_t pid = fork();
        if (pid == 0) {
                (void) signal(SIGTERM, SIG_IGN);
                (void) raise(SIGSTOP);
                _exit(0);
        }
        CHECK(waitpid(pid, NULL, WUNTRACED) == pid);

        _cleanup_free_ char *path = strf("/proc/%d", pid);
        _cleanup_close_ int look = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
        CHECK_INT(process_stat(look, &st), 0);
        CHECK_INT(st.state, 'T');
        CHECK_INT(process_ignores(look, SIGTERM), 1);
        CHECK_INT(process_open(pid, st.start_time + 1, NULL, NULL), -ESRCH);
        CHECK_INT(process_open(pid, st.start_time, &dirfd, &pidfd), 0);
        CHECK_INT(pidfd_wait(pidfd, 10 * 1000), -ETIME);
        CHECK_INT(pidfd_signal(pidfd, SIGKILL), 0);
        CHECK_INT(pidfd_wait(pidfd, 10 * 1000 * 1000), 0);
        CHECK_INT(process_open(pid, st.start_time, NULL, NULL), -ESRCH); /* a zombie */
        CHECK(waitpid(pid, NULL, 0) == pid);
        CHECK_INT(process_open(pid, st.start_time, NULL, NULL), -ESRCH);
        CHECK_INT(pidfd_signal(pidfd, SIGKILL), -ESRCH);
}

_Noreturn static void *wait_for_signals(void *fd) {
        CHECK_INT(write(*(int *) fd, "", 1), 1);
        for (;;)
                (void) pause();
}

/* A process without its first thread is one all the same: its name is good, it can be signalled, and another thread tells what is shared. */
static void test_open_without_leader(void) {
        _cleanup_close_ int dirfd = -EBADF, pidfd = -EBADF, living = -EBADF;
        _cleanup_free_ char *exe = NULL, *own = NULL;
        ProcessStat st;
        int fds[2];
        char ready;

        CHECK_INT(pipe2(fds, O_CLOEXEC), 0);
        pid_t pid = fork();
        if (pid == 0) {
                pthread_t thread;

                (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
                CHECK_INT(pthread_create(&thread, NULL, wait_for_signals, &fds[1]), 0);
                (void) syscall(SYS_exit, 0);
        }
        CHECK_INT(read(fds[0], &ready, 1), 1);
        _cleanup_free_ char *path = strf("/proc/%d", pid);
        _cleanup_close_ int look = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
        do
                CHECK_INT(process_stat(look, &st), 0);
        while (st.state != 'Z' && usleep(1000) == 0); /* nobody tells of the end of a first thread */
        CHECK_INT(st.threads, 2);
        CHECK(!process_stat_ended(&st));

        CHECK_INT(process_open(pid, st.start_time, &dirfd, &pidfd), 0);
        CHECK_INT(process_exe(dirfd, &exe), 0);
        CHECK_STR(exe, NULL);
        CHECK_INT(process_open_living(dirfd, &living), 1);
        CHECK_INT(process_exe(living, &exe), 0);
        CHECK_INT(link_readf(&own, "/proc/self/exe"), 0);
        CHECK_STR(exe, own);

        CHECK_INT(pidfd_signal(pidfd, SIGKILL), 0);
        CHECK_INT(pidfd_wait(pidfd, 10 * 1000 * 1000), 0);
        CHECK_INT(process_open(pid, st.start_time, NULL, NULL), -ESRCH);
        CHECK(waitpid(pid, NULL, 0) == pid);
        CHECK_INT(close(fds[0]), 0);
        CHECK_INT(close(fds[1]), 0);
}

static void check_unit(const char *cgroup, const char *want) {
        _cleanup_free_ char *unit = NULL;

        CHECK_INT(cgroup_unit(cgroup, &unit), 0);
        CHECK_STR(unit, want);
}

static void become(bool dumpable) {
        if (geteuid() == 0)
                CHECK_INT(setresuid(4711, 4711, 4711), 0);
        CHECK_INT(prctl(PR_SET_DUMPABLE, dumpable), 0);
}

static void become_open(void) {
        become(true);
}

static void become_hidden(void) {
        become(false);
}

static void check_user(void (*prepare)(void), bool want) {
        pid_t pid = waiting_child_start(prepare);
        _cleanup_free_ char *folder = strf("/proc/%d", (int) pid);
        _cleanup_close_ int fd = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
        bool hidden = !want;
        uint32_t uid = 0;

        CHECK_INT(process_user(fd, &uid, &hidden), 0);
        CHECK_INT(uid, geteuid() == 0 ? 4711 : geteuid());
        CHECK_INT(hidden, want);
        waiting_child_end(pid);
}

/* What /proc hides from the very user whose process it is. */
static void test_user(void) {
        check_user(become_open, false);
        check_user(become_hidden, true);
}

static void test_cgroup(void) {
        check_unit("0::/system.slice/redis.service\n", "redis.service");
        check_unit("0::/system.slice/redis.service/worker/x.scope\n", "redis.service");
        check_unit("0::/user.slice/user-1000.slice/user@1000.service/app.slice/a.service\n", "user@1000.service");
        check_unit("0::/user.slice/user-1000.slice/session-3.scope\n", "session-3.scope");
        check_unit("0::/system.slice/_cpu.service\n", "cpu.service");
        check_unit("12:memory:/x.service\n1:name=systemd:/system.slice/a.service\n0::/\n", "a.service");
        check_unit("0::/\n", NULL);
        check_unit("0::/kubepods/pod1\n", NULL);
        check_unit("0::/.service\n", NULL);
        check_unit("", NULL);
        /* A namesake in somebody's own group is not the system manager's. */
        check_unit("0::/lxc.payload.c1/system.slice/dbus.service\n", NULL);
        check_unit("0::/docker/0a1b/system.slice/ssh.service\n", NULL);
}

static void check_unified(const char *text, const char *want) {
        _cleanup_free_ char *cgroup = NULL;

        CHECK_INT(cgroup_unified(text, &cgroup), 0);
        CHECK_STR(cgroup, want);
}

static void test_unified(void) {
        check_unified("0::/system.slice/redis.service\n", "/system.slice/redis.service");
        check_unified("12:memory:/x\n1:name=systemd:/a\n0::/b c\n", "/b c");
        check_unified("0::/", "/");
        check_unified("10::/x\n", NULL);
        check_unified("1:name=systemd:/a\n", NULL);
        check_unified("0::/gone.service (deleted)\n", NULL);
        check_unified("", NULL);
}

static void test_self(void) {
        _cleanup_close_ int dirfd = open("/proc/self", O_PATH | O_DIRECTORY | O_CLOEXEC);
        _cleanup_free_ char *comm = NULL, *exe = NULL, *unit = NULL;
        uint64_t start = 0;
        uint32_t uid = 4711;

        CHECK_INT(process_start_time(dirfd, &start), 0);
        CHECK(start > 0);
        CHECK_INT(process_uid(dirfd, &uid), 0);
        CHECK_INT(uid, getuid());
        CHECK_INT(process_comm(dirfd, &comm), 0);
        CHECK_STR(comm, "test-process");
        CHECK_INT(process_exe(dirfd, &exe), 0);
        CHECK(strstr(exe, "test-process"));
        CHECK_INT(process_unit(dirfd, &unit), 0);
}

int main(void) {
        test_stat();
        test_status();
        test_ignores();
        test_open();
        test_open_without_leader();
        test_cgroup();
        test_unified();
        test_self();
        test_user();
        return EXIT_SUCCESS;
}
