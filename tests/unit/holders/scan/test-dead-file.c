/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A file system that is shut down answers EIO to whoever asks it for a file (XFS: even for stat()). Who has its files open is found all
 * the same, and who has none of them does not make the look incomplete. The calls that would say EIO are our own here. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "holders/holder.h"
#include "holders/process.h"
#include "holders/scan/dead-file.h"
#include "holders/seen-mounts.h"
#include "kernel/mounts/mount-ns.h"
#include "tests/unit/own-processes.h"

static char folder[] = "/dev/shm/test-dead-file-XXXXXX";
static char *file, *fifo;
static dev_t dead;      /* the file system that is shut down; 0: none */
static pid_t dying;     /* ends while its mapping is looked up, which the kernel refuses then; 0: nobody */
static bool refused;    /* and so it is of everybody else */
static bool unmapped;   /* whichever thread is asked what is mapped, it has just ended */
static pid_t leaving;   /* ends when it is known in which mount namespace it is; 0: nobody */

static bool is_dead(const struct statx *st) {
        return dead != 0 && makedev(st->stx_dev_major, st->stx_dev_minor) == dead;
}

static int ask(int at, const char *path, int flags, unsigned mask, struct statx *ret) {
        return (int) syscall(SYS_statx, at, path, flags, mask, ret);
}

int statx(int at, const char *restrict path, int flags, unsigned mask, struct statx *restrict ret) {
        bool of_mapping = startswith(path, "map_files/");

        if (of_mapping && dying > 0)
                waiting_child_end(dying);
        if (of_mapping && (dying > 0 || refused)) {
                dying = 0;
                errno = EACCES;
                return -1;
        }
        int r = ask(at, path, flags, mask, ret);

        if (r < 0 || !is_dead(ret))
                return r;
        errno = EIO;
        return -1;
}

int openat(int at, const char *path, int flags, ...) {
        va_list list;

        va_start(list, flags);
        mode_t mode = flags & O_CREAT ? va_arg(list, mode_t) : 0;
        va_end(list);
        if (!unmapped || !streq(path, "maps"))
                return (int) syscall(SYS_openat, at, path, flags, mode);
        errno = ESRCH;
        return -1;
}

int fstatat(int at, const char *restrict path, struct stat *restrict ret, int flags) {
        int r = (int) syscall(SYS_newfstatat, at, path, ret, flags);

        if (leaving > 0 && streq(path, "ns/mnt")) {
                waiting_child_end(leaving);
                leaving = 0;
        }
        return r;
}

/* The kernel asks the file system only where a file can have such attributes. */
ssize_t getxattr(const char *path, const char *name, void *value, size_t size) {
        struct statx st;

        CHECK_INT(ask(AT_FDCWD, path, 0, STATX_TYPE, &st), 0);
        if (!is_dead(&st))
                return syscall(SYS_getxattr, path, name, value, size);
        errno = S_ISREG(st.stx_mode) || S_ISDIR(st.stx_mode) ? EIO : EPERM;
        return -1;
}

static void hold_file(void) {
        int fd = open(file, O_RDWR | O_CLOEXEC);

        CHECK(fd >= 0 && mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0) != MAP_FAILED);
        CHECK_INT(chdir(folder), 0);
}

static void hold_fifo(void) {
        CHECK(open(fifo, O_RDWR | O_CLOEXEC) >= 0);
}

static bool holds(const Holder *h, HoldWay way) {
        for (size_t i = 0; i < h->n_holds; i++)
                if (h->holds[i].way == way)
                        return true;
        return false;
}

/* What the look at one process finds who holds something of the dead file system, for a target. */
static void check_look(void (*hold)(void), TargetKind kind, dev_t dev, size_t n_found, bool complete) {
        _cleanup_(hold_targets_done) HoldTargets targets = { 0 };
        _cleanup_(holders_freep) Holders *found = NULL;

        CHECK_INT(hold_targets_add(&targets, kind, dev, "target"), 0);
        pid_t pid = waiting_child_start(hold);
        CHECK_INT(holders_scan_process(&targets, pid, &found), 0);
        waiting_child_end(pid);
        CHECK_INT(found->n_items, n_found);
        CHECK_INT(gaps_none(&found->gaps), complete);
        if (n_found > 0 && hold == hold_file)
                CHECK(holds(&found->items[0], HOLD_DESCRIPTOR) && holds(&found->items[0], HOLD_CWD) && holds(&found->items[0], HOLD_MAPPING));
}

static void test_look(void) {
        _cleanup_close_ int proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC), fd = open(file, O_PATH | O_CLOEXEC);
        _cleanup_free_ char *name = strf("%d", fd);
        _cleanup_close_ int fds = open("/proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC);
        uint64_t id = 0;
        DeadFile f;

        CHECK_INT(mount_id_of(proc, fd, &id), 0);
        CHECK_INT(dead_file_look(fds, name, &f), 0);
        CHECK_INT(f.mount_id, id);
        CHECK(!f.special);
        CHECK_INT(dead_file_look(AT_FDCWD, fifo, &f), 0);
        CHECK(f.special);
        CHECK(dead_file_look(fds, "9999", &f) < 0);
}

/* Who is gone is nobody, and no look was refused for want of a right. */
static void test_refusal(void) {
        for (size_t lives = 0; lives < 2; lives++) {
                _cleanup_(hold_targets_done) HoldTargets targets = { 0 };
                _cleanup_(holders_freep) Holders *found = NULL;

                CHECK_INT(hold_targets_add(&targets, TARGET_BLOCK, makedev(259, 1), "target"), 0);
                pid_t pid = waiting_child_start(hold_file);
                dying = lives ? 0 : pid;
                refused = lives;
                CHECK_INT(holders_scan_process(&targets, pid, &found), 0);
                if (lives)
                        waiting_child_end(pid);
                CHECK_INT(dying, 0);
                CHECK_INT(found->n_items, 0);
                CHECK_INT(gaps_none(&found->gaps), !lives);
        }
        refused = false;
}

static void hold_nothing(void) {
}

static void *stay(void *unused) {
        while (pause() < 0)
                ;
        return NULL;
}

/* The first thread ends, the second one is there. */
static pid_t pass_on(void) {
        pid_t pid = fork();
        pthread_t thread;

        CHECK(pid >= 0);
        if (pid > 0)
                return pid;
        (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
        CHECK_INT(pthread_create(&thread, NULL, stay, NULL), 0);
        pthread_exit(NULL);
}

/* One of whom no thread stays long enough to be looked at may have anything. The kernel is asked then, as of one that hangs. */
static void test_passed_on(void) {
        _cleanup_(hold_targets_done) HoldTargets targets = { 0 };
        pid_t pid = pass_on();

        CHECK_INT(hold_targets_add(&targets, TARGET_CHAR, makedev(240, 7), "target"), 0);
        while (thread_state(pid, pid) != 'Z')
                (void) sched_yield();
        for (size_t i = 0; i < 2; i++) {
                _cleanup_(holders_freep) Holders *found = NULL;

                unmapped = i > 0;
                CHECK_INT(holders_scan_process(&targets, pid, &found), 0);
                CHECK_INT(found->n_items, 0);
                CHECK_INT(found->gaps.of[GAP_HANG].n, i);
                CHECK(gaps_none_but(&found->gaps, GAPS_OF_ANYBODY));
        }
        unmapped = false;
        waiting_child_end(pid);
}

/* What could not be read of one who ended is read of the next one in his namespace. */
static void test_leaving(void) {
        _cleanup_close_ int own = open("/proc/self", O_PATH | O_DIRECTORY | O_CLOEXEC);
        pid_t pid = waiting_child_start(hold_nothing);
        _cleanup_free_ char *path = strf("/proc/%d", pid);
        _cleanup_close_ int proc = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
        SeenMounts mounts = { 0 };

        leaving = pid;
        CHECK(seen_mounts_learn(&mounts, proc) < 0);
        CHECK_INT(leaving, 0);
        CHECK_INT(mounts.n_items, 0);
        CHECK_INT(seen_mounts_learn(&mounts, own), 0);
        CHECK(mounts.n_items > 0);
        seen_mounts_done(&mounts);
}

int main(void) {
        struct stat st, other;

        (void) see_own_processes();
        CHECK(mkdtemp(folder));
        file = strf("%s/file", folder);
        fifo = strf("%s/fifo", folder);
        CHECK(file && fifo);
        int fd = open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        CHECK(fd >= 0 && ftruncate(fd, 4096) == 0 && close(fd) == 0);
        CHECK_INT(mkfifo(fifo, 0600), 0);
        CHECK_INT(stat(file, &st), 0);
        CHECK_INT(stat("/proc/self", &other), 0);

        check_look(hold_file, TARGET_FS, st.st_dev, 1, true);
        test_refusal();
        test_leaving();
        test_passed_on();
        dead = st.st_dev;
        test_look();
        check_look(hold_file, TARGET_FS, st.st_dev, 1, true);
        check_look(hold_file, TARGET_FS, other.st_dev, 0, true);
        check_look(hold_file, TARGET_BLOCK, makedev(259, 1), 0, true);
        check_look(hold_fifo, TARGET_FS, st.st_dev, 1, true);
        /* It may be the node of that very disk. */
        check_look(hold_fifo, TARGET_BLOCK, makedev(259, 1), 0, false);

        dead = 0;
        test_remove_tree(folder);
        free(file);
        free(fifo);
        return EXIT_SUCCESS;
}
