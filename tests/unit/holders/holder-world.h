/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "kernel/process/cgroup.h"
#include "step/evict/holder-look.h"
#include "tests/unit/noted.h"
#include "tests/unit/own-processes.h"

/* A small world for the steps that deal with processes: a file system of our own that nobody else uses, groups like units, children
 * that hold a file and count, and a run that keeps the notes. Needs root and the unified cgroup hierarchy. */

static char world_folder[] = "/tmp/safe-remove-world-XXXXXX";
static char *world_slice;       /* the group above all of ours: the test may run twice at a time */
static const StepLimits world_limits = { .write_timeout_usec = 20 * USEC_PER_SEC };
static bool world_cancelled;

static inline const char *world_cgroup_root(void) {
        return access("/sys/fs/cgroup/cgroup.procs", F_OK) == 0 ? "/sys/fs/cgroup" : "/sys/fs/cgroup/unified";
}

static inline int world_group_make(const char *group) {
        _cleanup_free_ char *path = strf("%s%s", world_cgroup_root(), group);

        return mkdir(path, 0755) < 0 && errno != EEXIST ? -errno : 0;
}

static inline void world_group_remove(const char *group) {
        _cleanup_free_ char *path = strf("%s%s", world_cgroup_root(), group);

        (void) rmdir(path);
}

/* False where there can be no such world. */
static inline bool world_begin(void) {
        if (!see_own_processes())
                return false;
        CHECK(mkdtemp(world_folder));
        world_slice = strf("/%s.slice", strrchr(world_folder, '/') + 1);
        return mount("tmpfs", world_folder, "tmpfs", 0, NULL) == 0 && world_group_make(world_slice) >= 0;
}

/* A group in our slice; its name. */
static inline char *world_group(const char *name) {
        char *group = strf("%s/%s", world_slice, name);

        CHECK(group && world_group_make(group) >= 0);
        return group;
}

static inline void world_end(void) {
        (void) umount2(world_folder, MNT_DETACH);
        (void) rmdir(world_folder);
        world_group_remove(world_slice);
        free(world_slice);
}

/* Ends everybody in it. */
static inline int world_group_kill(const char *group) {
        _cleanup_free_ char *path = strf("%s%s/cgroup.kill", world_cgroup_root(), group);
        _cleanup_close_ int fd = open(path, O_WRONLY | O_CLOEXEC);
        _cleanup_free_ int *pids = NULL;
        size_t n = 1;

        if (fd < 0 || write(fd, "1", 1) != 1)
                return -errno;
        for (unsigned i = 0; i < 1000 && n > 0; i++) {
                (void) poll(NULL, 0, 10);
                free(TAKE_PTR(pids));
                CHECK_INT(cgroup_pids(group, &pids, &n), 0);
        }
        return n == 0 ? 0 : -ETIME;
}

typedef struct Child {
        pid_t pid;
        volatile uint64_t *count;       /* shared with it: goes up while it runs */
} Child;

static inline void world_group_enter(const char *group) {
        _cleanup_free_ char *path = strf("%s%s/cgroup.procs", world_cgroup_root(), group);
        _cleanup_close_ int fd = open(path, O_WRONLY | O_CLOEXEC);

        CHECK(fd >= 0 && write(fd, "0", 1) == 1);
}

static inline void *world_map(const char *name) {
        _cleanup_free_ char *path = strf("%s/%s", world_folder, name);
        _cleanup_close_ int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

        CHECK(fd >= 0 && ftruncate(fd, 4096) == 0);
        void *m = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        CHECK(m != MAP_FAILED);
        return m;
}

static inline _Noreturn void world_count(volatile uint64_t *count) {
        for (;;) {
                ++*count;
                (void) poll(NULL, 0, 1);
        }
}

/* In `group` (NULL: ours), holding a mapping of a file with the name of its body unless that has none; then runs `body` (NULL: counts). */
static inline Child child_start(const char *group, const char *file, void (*body)(volatile uint64_t *count)) {
        volatile uint64_t *count = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        int fds[2];

        CHECK((void *) count != MAP_FAILED && pipe2(fds, O_CLOEXEC) == 0);
        pid_t pid = fork();
        CHECK(pid >= 0);
        if (pid == 0) {
                (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
                (void) setsid();
                if (group)
                        world_group_enter(group);
                if (file)
                        (void) world_map(file);
                CHECK(write(fds[1], "x", 1) == 1);
                if (body)
                        body(count);
                world_count(count);
        }
        char x;
        close(fds[1]);
        CHECK(read(fds[0], &x, 1) == 1);
        close(fds[0]);
        return (Child) { .pid = pid, .count = count };
}

static inline bool child_runs(const Child *c) {
        uint64_t before = *c->count;

        for (unsigned i = 0; i < 2000; i++) {
                (void) poll(NULL, 0, 5);
                if (*c->count > before + 1)
                        return true;
        }
        return false;
}

static inline bool child_stands(const Child *c) {
        uint64_t before = *c->count;

        (void) poll(NULL, 0, 50);
        return *c->count == before;
}

static inline void child_stop(const Child *c) {
        CHECK(kill(c->pid, SIGSTOP) == 0 && waitpid(c->pid, NULL, WUNTRACED) == c->pid);
}

/* The status of one that is dead by now, or -1. */
static inline int child_status(const Child *c) {
        int status;

        for (unsigned i = 0; i < 1000; i++) {
                if (waitpid(c->pid, &status, WNOHANG) == c->pid)
                        return status;
                (void) poll(NULL, 0, 10);
        }
        return -1;
}

static inline void child_end(const Child *c) {
        (void) kill(c->pid, SIGKILL);
        CHECK(waitpid(c->pid, NULL, 0) == c->pid);
}

static inline bool world_is_cancelled(void *userdata) {
        return world_cancelled;
}

static inline json_object *world_notes_of(StepRun *run, uint64_t n) {
        return run->notes;
}

static inline StepRun world_run(void) {
        return (StepRun) { .limits = &world_limits, .cancelled = world_is_cancelled, .note = keep_notes, .notes_of = world_notes_of };
}

static inline void world_run_done(StepRun *run) {
        json_object_put(run->notes);
        step_run_done(run);
}

/* Arguments: the file system as the target, rules as text. */
static inline json_object *world_args(const char *rules) {
        _cleanup_(hold_targets_done) HoldTargets targets = { 0 };
        json_object *args = json_object_new_object(), *array = NULL;
        struct stat st;

        CHECK(stat(world_folder, &st) == 0);
        CHECK_INT(hold_targets_add(&targets, TARGET_FS, st.st_dev, world_folder), 0);
        CHECK_INT(json_parse(rules, strlen(rules), &array), 0);
        json_set(args, "targets", hold_targets_to_json(&targets));
        json_set(args, "rules", array);
        json_set_u64(args, "timeout_sec", 10);
        json_set_bool(args, "force_kill", false);
        return args;
}
