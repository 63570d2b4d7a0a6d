/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who is found, and what is told of them; the ways of holding are in test-holder-ways.c. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/clock.h"
#include "holders/holder.h"
#include "holders/pages-present.h"
#include "tests/unit/holders/scan/hanging-process.h"

static char folder[] = "/dev/shm/test-holders-XXXXXX";

static void hold_folder(void) {
        CHECK_INT(chdir(folder), 0);
}

static pid_t start(void) {
        return waiting_child_start(hold_folder);
}

static const Holder *find(const Holders *h, pid_t pid) {
        for (size_t i = 0; i < h->n_items; i++)
                if (h->items[i].pid == pid)
                        return &h->items[i];
        return NULL;
}

static void check_holder(const HoldTargets *targets) {
        _cleanup_(holders_freep) Holders *h = NULL;

        pid_t pid = start(), others[] = { start(), start(), start() };
        CHECK_INT(holders_scan(targets, 0, &h), 0);
        CHECK(h->n_items > ELEMENTSOF(others));
        const Holder *found = find(h, pid);
        CHECK(found);
        CHECK_INT(found->n_holds, 1);
        CHECK_INT(found->holds[0].way, HOLD_CWD);
        CHECK_STR(found->holds[0].path, folder);
        CHECK_INT(found->uid, getuid());
        CHECK(found->start_time > 0);
        CHECK_STR(found->comm, "test-holders");
        CHECK(strstr(found->exe, "test-holders"));
        CHECK(!found->protected);
        for (size_t i = 1; i < h->n_items; i++)
                CHECK(h->items[i - 1].pid < h->items[i].pid);

        for (size_t i = 0; i < ELEMENTSOF(others); i++)
                waiting_child_end(others[i]);
        waiting_child_end(pid);
        holders_free(TAKE_PTR(h));
        CHECK_INT(holders_scan(targets, 0, &h), 0);
        CHECK(!find(h, pid));
}

/* More than anybody wants to read. */
static void check_many(const HoldTargets *targets) {
        _cleanup_(holders_freep) Holders *h = NULL;
        int fds[100];

        for (size_t i = 0; i < ELEMENTSOF(fds); i++) {
                _cleanup_free_ char *path = strf("%s/%zu", folder, i);

                fds[i] = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
                CHECK(fds[i] >= 0);
        }
        CHECK_INT(holders_scan(targets, 0, &h), 0);
        const Holder *found = find(h, getpid());
        CHECK(found);
        CHECK(found->n_holds < ELEMENTSOF(fds));
        CHECK_INT(found->n_holds + found->n_more_holds, ELEMENTSOF(fds));
        for (size_t i = 0; i < ELEMENTSOF(fds); i++)
                CHECK_INT(close(fds[i]), 0);
}

/* More bytes than anybody wants to read. */
static void check_long(const HoldTargets *targets) {
        char name[NAME_MAX + 1] = { 0 }, way[PATH_MAX];
        _cleanup_(holders_freep) Holders *h = NULL;
        int fds[40], depth = 0;
        size_t bytes = 0;

        memset(name, 1, NAME_MAX);
        int at = open(folder, O_PATH | O_CLOEXEC);
        for (; depth < 14; depth++) {
                CHECK_INT(mkdirat(at, name, 0700), 0);
                int inner = openat(at, name, O_PATH | O_CLOEXEC);
                CHECK(inner >= 0);
                close(at);
                at = inner;
        }
        for (size_t i = 0; i < ELEMENTSOF(fds); i++) {
                (void) snprintf(way, sizeof(way), "%zu", i);
                fds[i] = openat(at, way, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
                CHECK(fds[i] >= 0);
        }
        close(at);
        CHECK_INT(holders_scan(targets, 0, &h), 0);
        const Holder *found = find(h, getpid());
        CHECK(found);
        for (size_t i = 0; i < found->n_holds; i++)
                bytes += found->holds[i].path ? strlen(found->holds[i].path) : 0;
        CHECK(found->n_holds > 0 && found->n_more_holds > 0);
        CHECK(bytes <= 64 * 1024);
        for (size_t i = 0; i < ELEMENTSOF(fds); i++)
                CHECK_INT(close(fds[i]), 0);
}

/* Of a session that is to be left alone, and ourselves. */
static void check_protected(const HoldTargets *targets) {
        _cleanup_json_ json_object *array = hold_targets_to_json(targets);
        _cleanup_(hold_targets_done) HoldTargets t = { 0 };
        _cleanup_(holders_freep) Holders *h = NULL;

        CHECK_INT(hold_targets_from_json(array, &t), 0);
        CHECK_INT(hold_targets_protect_session(&t, getsid(0)), 0);
        pid_t pid = start();
        _cleanup_close_ int fd = open(folder, O_PATH | O_CLOEXEC);
        CHECK(fd >= 0);
        CHECK_INT(holders_scan(&t, 0, &h), 0);
        CHECK(find(h, pid) && find(h, pid)->protected);
        CHECK(find(h, getpid()) && find(h, getpid())->protected);
        holders_free(TAKE_PTR(h));
        CHECK_INT(holders_scan(targets, 0, &h), 0);
        CHECK(find(h, pid) && !find(h, pid)->protected);
        CHECK(find(h, getpid()) && find(h, getpid())->protected);
        waiting_child_end(pid);
}

/* What a look that hangs in the kernel is like: the first thread that it starts never gets to run. */
static void trace_without_first_thread(pid_t pid) {
        int status, n_threads = 0;

        CHECK_INT(ptrace(PTRACE_SEIZE, pid, NULL, PTRACE_O_TRACECLONE | PTRACE_O_EXITKILL), 0);
        CHECK_INT(kill(pid, SIGCONT), 0);
        for (pid_t stopped; (stopped = waitpid(-1, &status, __WALL)) != pid || !WIFEXITED(status);) {
                CHECK(stopped > 0);
                if (WIFSTOPPED(status) && (stopped == pid || ++n_threads > 1))
                        CHECK_INT(ptrace(PTRACE_CONT, stopped, NULL, 0), 0);
        }
        CHECK_INT(WEXITSTATUS(status), EXIT_SUCCESS);
        CHECK(n_threads > 1);
}

static void check_hang(const HoldTargets *targets) {
        _cleanup_(holders_freep) Holders *h = NULL;

        pid_t holder = start(), pid = fork();
        CHECK(pid >= 0);
        if (pid == 0) {
                (void) raise(SIGSTOP);
                CHECK_INT(holders_scan(targets, USEC_PER_SEC, &h), 0);
                _exit(!gaps_none(&h->gaps) && find(h, holder) ? EXIT_SUCCESS : EXIT_FAILURE);
        }
        CHECK_INT(waitpid(pid, NULL, WUNTRACED), pid);
        trace_without_first_thread(pid);
        waiting_child_end(holder);
}

/* What it has open is seen all the same: no lock of its memory is in the way of that. */
static void check_its_files(const HangingProcess *hanging) {
        _cleanup_(hold_targets_done) HoldTargets targets = { 0 };
        _cleanup_(holders_freep) Holders *h = NULL, *one = NULL;
        struct statx st;

        CHECK_INT(statx(AT_FDCWD, hanging->path, AT_STATX_DONT_SYNC, STATX_TYPE, &st), 0);
        CHECK_INT(hold_targets_add(&targets, TARGET_FS, makedev(st.stx_dev_major, st.stx_dev_minor), hanging->path), 0);
        CHECK_INT(holders_scan(&targets, 0, &h), 0);
        CHECK(find(h, hanging->pid));
        CHECK_INT(find(h, hanging->pid)->holds[0].way, HOLD_DESCRIPTOR);
        CHECK(gaps_none_but(&h->gaps, 1U << GAP_MAPPINGS));
        CHECK_INT(holders_scan_process(&targets, hanging->pid, &one), 0);
        CHECK(find(one, hanging->pid));
}

/* Nor does one that hangs in truth; and a look at it alone comes back as well. */
static void check_hanging_process(const HoldTargets *targets) {
        _cleanup_(holders_freep) Holders *h = NULL, *one = NULL;
        HangingProcess hanging;
        uint64_t pages;

        if (!hanging_process_start(&hanging))
                return;
        pid_t holder = start();
        const Holder who = { .pid = hanging.pid };
        CHECK_INT(holders_scan(targets, 0, &h), 0);
        CHECK(find(h, holder));
        CHECK_INT(holders_scan_process(targets, hanging.pid, &one), 0);
        CHECK_INT(one->n_items, 0);
        /* The kernel may list mappings without that lock (6.11), but not what they lead to. */
        CHECK_INT(gaps_none(&h->gaps), gaps_none(&one->gaps));
        CHECK_INT(holder_pages_present(&who, TARGET_CHAR, 1, &pages), -ETIME);
        check_its_files(&hanging);
        waiting_child_end(holder);
        hanging_process_end(&hanging);
}

static int foreign_file;

/* It has it from us. */
static void hold_foreign_file(void) {
        CHECK(foreign_file >= 0);
}

static void check_foreign(const HoldTargets *targets, pid_t holder, size_t n_found) {
        _cleanup_(holders_freep) Holders *h = NULL;

        CHECK_INT(holders_scan_process(targets, holder, &h), 0);
        CHECK(gaps_none(&h->gaps));
        CHECK_INT(h->n_items, n_found);
}

/* Anybody can have a file system that tells nobody else of its files, and take it away from under who has them open: that hides nobody,
 * and is no gap. */
static void check_foreign_file(const HoldTargets *targets) {
        _cleanup_(hold_targets_done) HoldTargets of_it = { 0 }, disk = { 0 };
        _cleanup_free_ char *options = NULL;
        struct statx st;

        _cleanup_close_ int server = open("/dev/fuse", O_RDWR | O_CLOEXEC);
        options = strf("fd=%d,rootmode=40000,user_id=4711,group_id=4711", server);
        if (server < 0 || mount("test", folder, "fuse", MS_NOSUID | MS_NODEV, options) < 0)
                return;
        foreign_file = open(folder, O_PATH | O_CLOEXEC);
        CHECK_INT(statx(foreign_file, "", AT_EMPTY_PATH, STATX_TYPE, &st), -1);
        CHECK_INT(errno, EACCES);
        CHECK_INT(statx(foreign_file, "", AT_EMPTY_PATH, 0, &st), 0);
        CHECK_INT(hold_targets_add(&of_it, TARGET_FS, makedev(st.stx_dev_major, st.stx_dev_minor), folder), 0);
        CHECK_INT(hold_targets_add(&disk, TARGET_BLOCK, makedev(259, 1), "/dev/pmem0"), 0);
        pid_t holder = waiting_child_start(hold_foreign_file);
        for (int gone = 0; gone < 2; gone++) {
                check_foreign(targets, holder, 0);
                check_foreign(&of_it, holder, 1);
                check_foreign(&disk, holder, 0);
                CHECK_INT(gone ? 0 : umount2(folder, MNT_DETACH), 0);
        }
        waiting_child_end(holder);
        CHECK_INT(close(foreign_file), 0);
}

static void check_budget(const HoldTargets *targets) {
        _cleanup_(holders_freep) Holders *h = NULL;

        CHECK_INT(holders_scan(targets, 1, &h), 0);
        CHECK(!gaps_none(&h->gaps));
}

static void test_targets_json(void) {
        static const char text[] = "[{\"kind\":\"fs\",\"dev\":\"259:1\",\"name\":\"/mnt\"},"
                                   "{\"kind\":\"char\",\"dev\":\"252:0\",\"name\":\"/dev/dax0.0\"},{\"protect_session\":12}]";
        static const char *const bad[] = { "{}", "[{}]", "[{\"kind\":\"fs\"}]", "[{\"kind\":\"fs\",\"dev\":\"1\"}]",
                                           "[{\"kind\":\"x\",\"dev\":\"1:2\"}]", "[{\"kind\":\"fs\",\"dev\":\"1:-2\"}]",
                                           "[{\"protect_session\":4294967296}]", "[1]" };
        _cleanup_(hold_targets_done) HoldTargets t = { 0 };
        _cleanup_json_ json_object *array = NULL;

        CHECK_INT(json_parse(text, strlen(text), &array), 0);
        CHECK_INT(hold_targets_from_json(array, &t), 0);
        CHECK_INT(t.n_items, 2);
        _cleanup_json_ json_object *again = hold_targets_to_json(&t);
        CHECK_STR(json_text(again), text);
        CHECK_INT(hold_targets_add(&t, TARGET_CHAR, t.items[1].dev, "other name"), 0);
        CHECK_INT(t.n_items, 2);

        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                _cleanup_json_ json_object *o = NULL;

                CHECK_INT(json_parse(bad[i], strlen(bad[i]), &o), 0);
                CHECK_INT(hold_targets_from_json(o, &t), -EINVAL);
        }
}

static void test_holder_json(void) {
        HoldTarget target = { .kind = TARGET_FS, .name = (char *) (uintptr_t) "/mnt" };
        HoldTargets targets = { .items = &target, .n_items = 1 };
        char comm[] = "cat", path[] = "/mnt/a", found[] = "/proc/7/fd/3", cgroup[] = "/a.slice";
        Hold hold = { .way = HOLD_DESCRIPTOR, .path = path, .found = found };
        Holder h = { .pid = 7, .start_time = 8, .comm = comm, .cgroup = cgroup, .uid = 9, .holds = &hold, .n_holds = 1,
                     .n_more_holds = 2 };
        _cleanup_json_ json_object *o = holder_to_json(&h, &targets);

        CHECK_STR(json_text(o), "{\"kind\":\"process\",\"pid\":7,\"start_time\":8,\"comm\":\"cat\",\"exe\":null,\"unit\":null,"
                                "\"cgroup\":\"/a.slice\",\"uid\":9,\"protected\":false,\"holds\":[{\"way\":\"descriptor\","
                                "\"target\":\"/mnt\",\"path\":\"/mnt/a\",\"found\":\"/proc/7/fd/3\",\"bytes\":0}],"
                                "\"more_holds\":2}");
}

int main(void) {
        _cleanup_(hold_targets_done) HoldTargets targets = { 0 };
        struct stat st;

        test_targets_json();
        test_holder_json();

        (void) see_own_processes();
        CHECK(mkdtemp(folder));
        CHECK_INT(stat(folder, &st), 0);
        CHECK_INT(hold_targets_add(&targets, TARGET_FS, st.st_dev, folder), 0);
        check_holder(&targets);
        check_many(&targets);
        check_long(&targets);
        check_protected(&targets);
        check_budget(&targets);
        check_hang(&targets);
        check_hanging_process(&targets);
        check_foreign_file(&targets);
        test_remove_tree(folder);
        return EXIT_SUCCESS;
}
