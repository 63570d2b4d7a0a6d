/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <poll.h>
#include <signal.h>

#include "base/clock.h"
#include "holders/process.h"
#include "kernel/cgroup.h"
#include "kernel/pidfd.h"
#include "step/holder-freeze.h"

enum {
        /* A process stops when it next comes out of the kernel. Only its parent hears of it. */
        STOP_POLL_MSEC = 5,
        THAW_TIMEOUT_SEC = 5,

        /* How long whoever may hang has for coming out of the kernel all the same. */
        HANG_SEC = 5,
};

static int process_state(int dirfd, char *ret) {
        ProcessStat st;

        int r = process_stat(dirfd, &st);
        if (r < 0)
                return r == -ENOENT ? -ESRCH : r;
        *ret = st.state;
        return st.state == 'Z' || st.state == 'X' ? -ESRCH : 0;
}

int holder_is_frozen(const Holder *h) {
        _cleanup_close_ int dirfd = -EBADF;
        char state;

        int r = process_open(h->pid, h->start_time, &dirfd, NULL);
        if (r >= 0)
                r = process_state(dirfd, &state);
        if (r < 0)
                return r;
        return state == 'T' || (h->cgroup && cgroup_is_frozen(h->cgroup) > 0);
}

int holder_hangs(const Holder *h) {
        _cleanup_close_ int fd = -EBADF;
        char state;

        int r = process_open(h->pid, h->start_time, &fd, NULL);
        if (r >= 0)
                r = process_state(fd, &state);
        if (r < 0)
                return r;
        bool told = process_has_pending(fd, SIGSTOP) > 0 || (h->cgroup && cgroup_asked_to_freeze(h->cgroup) > 0);
        return told && process_hangs(h->pid);
}

/* The freezer stops all the others of a group, whoever hangs. */
static bool group_hangs(const char *cgroup) {
        _cleanup_free_ int *pids = NULL;
        size_t n = 0;

        if (cgroup_asked_to_freeze(cgroup) <= 0 || cgroup_pids(cgroup, &pids, &n) < 0)
                return false;
        for (size_t i = 0; i < n; i++)
                if (process_hangs(pids[i]))
                        return true;
        return false;
}

static uint64_t patience(uint64_t deadline, bool may_hang) {
        uint64_t soon = now_monotonic() + HANG_SEC * USEC_PER_SEC;

        return may_hang && soon < deadline ? soon : deadline;
}

static bool is_noted(StepRun *run, const char *cgroup, int pid, uint64_t start_time) {
        for (size_t i = 0; i < json_len(run->notes); i++) {
                json_object *note = json_at(run->notes, i);
                if (cgroup ? streq_ptr(json_str(note, "cgroup"), cgroup)
                           : json_u64(note, "pid") == (uint64_t) pid && json_u64(note, "start_time") == start_time)
                        return true;
        }
        return false;
}

/* The group of one service or scope, with nobody in it who must go on. A login session is never frozen as a whole: it is where
 * people sit. Neither is what a manager itself lives in. */
static bool group_may_freeze(const HolderLook *l, const Holder *h) {
        static const char *const never[] = { "*/session-*.scope", "*/init.scope", "*/user@*.service" };

        if (!h->cgroup || !h->unit || streq(h->cgroup, "/"))
                return false;
        for (size_t i = 0; i < ELEMENTSOF(never); i++)
                if (fnmatch(never[i], h->cgroup, FNM_NOESCAPE) == 0)
                        return false;
        return cgroup_asked_to_freeze(h->cgroup) >= 0 && group_is_free(&l->protection, h->cgroup);
}

static int group_freeze(StepRun *run, const Holder *h, bool may_hang, uint64_t deadline) {
        uint64_t now = now_monotonic();

        deadline = patience(deadline, may_hang);
        if (!is_noted(run, h->cgroup, 0, 0)) {
                json_object *note = json_object_new_object();
                json_set_str(note, "cgroup", h->cgroup);
                json_set_str(note, "unit", h->unit);
                int r = step_note(run, note);
                if (r < 0)
                        return r;
        }

        int r = cgroup_freeze(h->cgroup, true);
        if (r >= 0)
                r = cgroup_wait_frozen(h->cgroup, true, now < deadline ? deadline - now : 0);
        if (r == -ENOENT)
                return -ESRCH;
        if (r == -ETIME && may_hang && group_hangs(h->cgroup))
                return 0;
        if (r == -ETIME)
                return step_fail(run, -EBUSY, "%s cannot be frozen: one of its processes does not come out of the kernel", h->unit);
        return r < 0 ? step_fail(run, r, "freezing %s: %s", h->cgroup, strerror(-r)) : 0;
}

static int stop_wait(StepRun *run, const Holder *h, int dirfd, bool may_hang, uint64_t deadline) {
        deadline = patience(deadline, may_hang);
        for (;;) {
                char state;

                int r = process_state(dirfd, &state);
                if (r < 0 || state == 'T' || state == 't')
                        return r;
                if (now_monotonic() >= deadline && may_hang && holder_hangs(h) > 0)
                        return 0;
                if (now_monotonic() >= deadline)
                        return step_fail(run, -EBUSY, "process %d (%s) cannot be stopped: it does not come out of the kernel", h->pid, h->comm);
                (void) poll(NULL, 0, STOP_POLL_MSEC);
        }
}

static int stop(StepRun *run, const Holder *h, bool may_hang, uint64_t deadline) {
        _cleanup_close_ int dirfd = -EBADF, pidfd = -EBADF;
        char state;

        int r = process_open(h->pid, h->start_time, &dirfd, &pidfd);
        if (r >= 0)
                r = process_state(dirfd, &state);
        if (r < 0 || state == 'T')
                return r;

        if (!is_noted(run, NULL, h->pid, h->start_time)) {
                json_object *note = json_object_new_object();
                json_set_u64(note, "pid", (uint64_t) h->pid);
                json_set_u64(note, "start_time", h->start_time);
                json_set_str(note, "comm", h->comm);
                r = step_note(run, note);
                if (r < 0)
                        return r;
        }
        r = pidfd_signal(pidfd, SIGSTOP);
        if (r < 0)
                return r == -ESRCH ? r : step_fail(run, r, "stopping process %d (%s): %s", h->pid, h->comm, strerror(-r));
        return stop_wait(run, h, dirfd, may_hang, deadline);
}

int holder_stop(StepRun *run, const Holder *h, uint64_t deadline) {
        return stop(run, h, false, deadline);
}

int holder_freeze(const HolderLook *l, StepRun *run, const Holder *h, uint64_t deadline) {
        bool may_hang = holder_may_hang(l, h);

        return group_may_freeze(l, h) ? group_freeze(run, h, may_hang, deadline) : stop(run, h, may_hang, deadline);
}

static int group_thaw(const char *cgroup) {
        int r = cgroup_asked_to_freeze(cgroup);
        if (r <= 0)
                return r == -ENOENT ? 0 : r;
        r = cgroup_freeze(cgroup, false);
        if (r >= 0)
                r = cgroup_wait_frozen(cgroup, false, THAW_TIMEOUT_SEC * USEC_PER_SEC);
        return r == -ENOENT ? 0 : r;
}

/* Stopped, or about to be as soon as it comes out of the kernel. */
static bool is_stopped(int dirfd, char state) {
        return state == 'T' || state == 'D' || process_has_pending(dirfd, SIGSTOP) > 0;
}

/* Not to one that runs: it may have a handler. */
static int process_continue(int pid, uint64_t start_time) {
        _cleanup_close_ int dirfd = -EBADF, pidfd = -EBADF;
        char state;

        int r = process_open(pid, start_time, &dirfd, &pidfd);
        if (r >= 0)
                r = process_state(dirfd, &state);
        if (r >= 0 && is_stopped(dirfd, state))
                r = pidfd_signal(pidfd, SIGCONT);
        return r == -ESRCH ? 0 : r;
}

int holder_thaw(const Holder *h) {
        int r = h->cgroup ? group_thaw(h->cgroup) : 0;
        int q = process_continue(h->pid, h->start_time);

        return r < 0 ? r : q;
}

static bool in_force(json_object *note) {
        const char *cgroup = json_str(note, "cgroup");
        _cleanup_close_ int dirfd = -EBADF;
        char state;

        if (cgroup)
                return cgroup_asked_to_freeze(cgroup) > 0;
        return process_open((int) json_u64(note, "pid"), json_u64(note, "start_time"), &dirfd, NULL) >= 0 &&
               process_state(dirfd, &state) >= 0 && (state == 'T' || process_has_pending(dirfd, SIGSTOP) > 0);
}

bool freeze_notes_in_force(json_object *notes) {
        for (size_t i = 0; i < json_len(notes); i++)
                if (in_force(json_at(notes, i)))
                        return true;
        return false;
}

static int undo(json_object *note, StepRun *run) {
        const char *cgroup = json_str(note, "cgroup");
        uint64_t pid = json_u64(note, "pid");

        int r = cgroup ? group_thaw(cgroup) : pid > 0 ? process_continue((int) pid, json_u64(note, "start_time")) : 0;
        if (r >= 0)
                return 0;
        if (cgroup) {
                _cleanup_free_ char *path = strf("/sys/fs/cgroup%s/cgroup.freeze", cgroup), *quoted = shell_quoted(path);
                step_remedy(run, "echo 0 > %s", quoted);
                return step_fail(run, r, "%s cannot be thawed: %s", cgroup, strerror(-r));
        }
        step_remedy(run, "kill -CONT %ju", (uintmax_t) pid);
        return step_fail(run, r, "process %ju (%s) cannot be continued: %s", (uintmax_t) pid, json_str(note, "comm") ?: "?", strerror(-r));
}

int freeze_notes_undo(json_object *notes, StepRun *run) {
        int r = 0;

        for (size_t i = json_len(notes); i-- > 0;) {
                int q = undo(json_at(notes, i), run);
                r = r < 0 ? r : q;
        }
        return r;
}
