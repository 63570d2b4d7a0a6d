/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <poll.h>
#include <signal.h>

#include "base/clock.h"
#include "holders/process.h"
#include "kernel/process/cgroup.h"
#include "kernel/process/pidfd.h"
#include "step/evict/holder-freeze.h"

enum {
        /* A process stops when it next comes out of the kernel. Only its parent hears of it. */
        STOP_POLL_MSEC = 5,
        THAW_TIMEOUT_SEC = 5,

        /* Neither that a group is told to thaw again nor a cancel is an event for who waits for it to freeze. */
        GROUP_POLL_MSEC = 20,

        LINES_MAX = 100,        /* of a remedy */

        /* How long all who are killed in the end have for standing still, and each of them after that. */
        KILLED_SEC = 5,
        KILLED_EACH_MSEC = 200,

        /* So many looks in a row that show nothing of a stop: it was taken back by somebody. */
        UNDONE_LOOKS = 3,
};

/* In this worker's memory only: whoever goes on for another tells them once more. */
#define CONTINUED "continued"

static int threads_of(const Holder *h, int *ret_dirfd, int *ret_pidfd, ThreadStates *ret) {
        _cleanup_close_ int dirfd = -EBADF, pidfd = -EBADF;

        int r = process_open(h->pid, h->start_time, &dirfd, &pidfd);
        if (r >= 0)
                r = process_threads(dirfd, ret);
        if (r < 0)
                return r;
        *ret_dirfd = TAKE_FD(dirfd);
        if (ret_pidfd)
                *ret_pidfd = TAKE_FD(pidfd);
        return 0;
}

static bool all_stand(const ThreadStates *t) {
        return t->running == 0 && t->hanging == 0;
}

/* Is a stop in force, or about to be? One that a thread has taken up binds the others (kernel/signal.c:do_signal_stop), and waits for
 * nobody any more. */
static bool stop_is_on(int dirfd, const ThreadStates *t) {
        return t->stopped > 0 || process_has_pending(dirfd, SIGSTOP) > 0;
}

int holder_is_frozen(const Holder *h) {
        _cleanup_close_ int dirfd = -EBADF;
        ThreadStates t;

        int r = threads_of(h, &dirfd, NULL, &t);
        if (r < 0)
                return r;
        return all_stand(&t) || (h->cgroup && cgroup_is_frozen(h->cgroup) > 0);
}

FreezeTime freeze_time(uint64_t timeout_usec) {
        return (FreezeTime) { .deadline = now_monotonic() + timeout_usec, .killed_usec = KILLED_SEC * USEC_PER_SEC };
}

static uint64_t time_of(const FreezeTime *t, bool killed) {
        uint64_t each = KILLED_EACH_MSEC * USEC_PER_MSEC, until = now_monotonic() + (t->killed_usec > each ? t->killed_usec : each);

        return killed && until < t->deadline ? until : t->deadline;
}

static void time_spend(FreezeTime *t, uint64_t since) {
        uint64_t usec = now_monotonic() - since;

        t->killed_usec -= usec < t->killed_usec ? usec : t->killed_usec;
}

static json_object *process_note(const char *key, const Holder *h) {
        json_object *note = json_object_new_object();

        json_set_u64(note, key, (uint64_t) h->pid);
        json_set_u64(note, "start_time", h->start_time);
        json_set_str(note, "comm", h->comm);
        json_set_u64(note, "uid", h->uid);
        json_set_str(note, "unit", h->unit);
        return note;
}

static bool is_noted(StepRun *run, const char *key, const Holder *h) {
        return step_has_noted_process(run, key, (uint64_t) h->pid, h->start_time);
}

/* The group of one service or scope, with nobody in it who must go on. A login session is never frozen as a whole: it is where
 * people sit. Neither is what a manager itself lives in. */
static bool group_may_freeze(StepRun *run, const HolderLook *l, const Holder *h) {
        static const char *const never[] = { "*/session-*.scope", "*/init.scope", "*/user@*.service" };

        if (!h->cgroup || !h->unit || streq(h->cgroup, "/") || step_has_noted(run, "one_by_one", h->cgroup))
                return false;
        for (size_t i = 0; i < ELEMENTSOF(never); i++)
                if (fnmatch(never[i], h->cgroup, FNM_NOESCAPE) == 0)
                        return false;
        return cgroup_asked_to_freeze(h->cgroup) >= 0 && group_is_free(&l->protection, h->cgroup);
}

/* 0 also for one that somebody has thawed again: the next look finds it. -ECANCELED: somebody has changed his mind, and does not wait for who
 * hangs. */
static int group_wait(StepRun *run, const char *cgroup, uint64_t deadline) {
        for (unsigned undone = 0; undone < UNDONE_LOOKS;) {
                int r = cgroup_wait_frozen(cgroup, true, GROUP_POLL_MSEC * USEC_PER_MSEC);
                if (r != -ETIME)
                        return r;
                r = cgroup_asked_to_freeze(cgroup);
                if (r < 0)
                        return r;
                undone = r > 0 ? 0 : undone + 1;
                if (now_monotonic() >= deadline)
                        return r > 0 ? -ETIME : 0;
                if (step_cancelled(run))
                        return -ECANCELED;
        }
        return 0;
}

static int group_thaw(const char *cgroup) {
        int r = cgroup_asked_to_freeze(cgroup);
        if (r <= 0)
                return r == -ENOENT ? 0 : r;
        r = cgroup_freeze(cgroup, false);
        if (r >= 0)
                r = cgroup_wait_frozen(cgroup, false, time_for(THAW_TIMEOUT_SEC * USEC_PER_SEC));
        /* A group above it may be frozen, by somebody else. */
        if (r == -ETIME && cgroup_asked_to_freeze(cgroup) == 0)
                return 0;
        return r == -ENOENT ? 0 : r;
}

/* -ETIME: one of its processes hangs in the kernel, or somebody keeps the group from it. */
static int group_freeze(StepRun *run, const Holder *h, uint64_t deadline) {
        /* A group that somebody else has asked to freeze may still be about to. */
        if (!step_has_noted(run, "cgroup", h->cgroup) && cgroup_asked_to_freeze(h->cgroup) <= 0) {
                json_object *note = json_object_new_object();
                json_set_str(note, "cgroup", h->cgroup);
                json_set_str(note, "unit", h->unit);
                int r = step_note(run, note);
                if (r < 0)
                        return r;
        }

        int r = cgroup_freeze(h->cgroup, true);
        if (r >= 0)
                r = group_wait(run, h->cgroup, deadline);
        if (r == -ENOENT)
                return -ESRCH;
        if (r == -ECANCELED)
                return step_fail(run, r, "cancelled");
        return r < 0 && r != -ETIME ? step_fail(run, r, "freezing %s: %s", h->cgroup, strerror(-r)) : r;
}

/* A tracer gets the stop first, and may keep it from its process. */
static int stop_failed(StepRun *run, const Holder *h) {
        _cleanup_close_ int dirfd = -EBADF;
        int r = process_open(h->pid, h->start_time, &dirfd, NULL), tracer = r < 0 ? r : process_tracer(dirfd);

        if (r == -ESRCH)
                return r;
        if (tracer > 0)
                return step_fail(run, -EBUSY, "process %d (%s) cannot be stopped: process %d traces it, and lets it go on", h->pid, h->comm, tracer);
        return step_fail(run, -EBUSY, "process %d (%s) cannot be stopped: it hangs in the kernel", h->pid, h->comm);
}

/* 0 also for one that somebody has set going again: the next look finds it. -ETIME: it does not stand still. */
static int stop_wait(StepRun *run, const Holder *h, int dirfd, bool ours, uint64_t deadline) {
        for (unsigned undone = 0; undone < UNDONE_LOOKS;) {
                ThreadStates t;

                int r = process_threads(dirfd, &t);
                if (r < 0 || all_stand(&t))
                        return r;
                /* The first thread to take it up stops all. */
                if (ours && t.hanging > 0 && t.running > 0)
                        (void) process_signal_running(dirfd, h->pid, SIGSTOP);
                undone = stop_is_on(dirfd, &t) || t.hanging > 0 || t.traced > 0 ? 0 : undone + 1;
                if (now_monotonic() >= deadline)
                        return -ETIME;
                if (step_cancelled(run))
                        return step_fail(run, -ECANCELED, "cancelled");
                (void) poll(NULL, 0, STOP_POLL_MSEC);
        }
        return 0;
}

static int stop(StepRun *run, const Holder *h, uint64_t deadline) {
        _cleanup_close_ int dirfd = -EBADF, pidfd = -EBADF;
        ThreadStates t;

        int r = threads_of(h, &dirfd, &pidfd, &t);
        if (r < 0 || all_stand(&t))
                return r;

        bool noted = is_noted(run, "pid", h);
        if (!noted && stop_is_on(dirfd, &t))
                return stop_wait(run, h, dirfd, false, deadline); /* somebody else's */
        if (!noted)
                r = step_note(run, process_note("pid", h));
        if (r >= 0)
                r = pidfd_signal(pidfd, SIGSTOP);
        if (r < 0)
                return r == -ESRCH ? r : step_fail(run, r, "stopping process %d (%s): %s", h->pid, h->comm, strerror(-r));
        return stop_wait(run, h, dirfd, true, deadline);
}

int holder_stop(StepRun *run, const Holder *h, uint64_t deadline) {
        int r = stop(run, h, deadline);

        return r == -ETIME ? stop_failed(run, h) : r;
}

/* -ETIME: it does not stand still, and need not. */
static int stop_within(StepRun *run, const Holder *h, bool killed, FreezeTime *t) {
        uint64_t began = now_monotonic();

        int r = stop(run, h, time_of(t, killed));
        if (r != -ETIME)
                return r;
        time_spend(t, began);
        return killed ? r : stop_failed(run, h);
}

int holder_stop_other(StepRun *run, const Holder *other, bool killed, FreezeTime *t) {
        int r = stop_within(run, other, killed, t);

        return r == -ETIME ? 0 : r;
}

/* Nobody gets a group to stand still against the one that hangs in it, and who stands in its freezer does not look as if he did. */
static int group_let_go(StepRun *run, const char *cgroup) {
        json_object *note = json_object_new_object();

        json_set_str(note, "one_by_one", cgroup);
        int r = step_note(run, note);
        if (r >= 0)
                (void) group_thaw(cgroup);
        return r;
}

static int group_freeze_within(StepRun *run, const Holder *h, bool killed, FreezeTime *t) {
        uint64_t began = now_monotonic();

        int r = group_freeze(run, h, time_of(t, killed));
        if (r != -ETIME)
                return r;
        if (!killed)
                return step_fail(run, -EBUSY, "%s cannot be frozen: one of its processes hangs in the kernel", h->unit);
        time_spend(t, began);
        /* One that somebody else froze is left to him. */
        if (!step_has_noted(run, "cgroup", h->cgroup))
                return r;
        r = group_let_go(run, h->cgroup);
        return r < 0 ? r : stop_within(run, h, killed, t);
}

int holder_freeze(const HolderLook *l, StepRun *run, const Holder *h, FreezeTime *t) {
        bool killed = holder_is_killed(l, h);

        int r = group_may_freeze(run, l, h) ? group_freeze_within(run, h, killed, t) : stop_within(run, h, killed, t);
        if (r != -ETIME)
                return r;
        step_progress(run, 0, 0, "process %d (%s) cannot be stopped; it is killed while it runs, if nothing else ends it", h->pid, h->comm);
        return holder_let_be(run, h);
}

int holders_note(const HolderLook *l, StepRun *run, const Holders *found) {
        _cleanup_json_ json_object *notes = json_object_new_array();

        for (size_t i = 0; i < found->n_items; i++) {
                const Holder *h = &found->items[i];
                _cleanup_close_ int dirfd = -EBADF;
                ThreadStates t;

                if (is_noted(run, "pid", h) || threads_of(h, &dirfd, NULL, &t) < 0 || all_stand(&t) || stop_is_on(dirfd, &t) ||
                    group_may_freeze(run, l, h))
                        continue;
                json_object_array_add(notes, process_note("pid", h));
        }
        return json_len(notes) > 1 ? step_note_all(run, notes) : 0;
}

int holder_let_be(StepRun *run, const Holder *h) {
        return step_note(run, process_note("let_be", h));
}

bool holder_is_let_be(StepRun *run, const Holder *h) {
        return is_noted(run, "let_be", h);
}

int killed_let_be(StepRun *run) {
        json_object *note = json_object_new_object();

        json_set_str(note, "let_be", "killed");
        return step_note(run, note);
}

bool killed_are_let_be(StepRun *run) {
        return step_has_noted(run, "let_be", "killed");
}

/* Whatever it seems to do: a stop can be on its way where nobody sees it, taken up by a thread that is in the kernel, or by a tracer that
 * has not passed it on yet. This takes it back in each of these places (kernel/signal.c:prepare_signal). */
static int process_continue(int pid, uint64_t start_time) {
        _cleanup_close_ int pidfd = -EBADF;

        int r = process_open(pid, start_time, NULL, &pidfd);
        if (r >= 0)
                r = pidfd_signal(pidfd, SIGCONT);
        return r == -ESRCH ? 0 : r;
}

/* Not to one that runs: nobody has stopped it, and it may have a handler. */
int holder_thaw(const Holder *h) {
        _cleanup_close_ int dirfd = -EBADF;
        ThreadStates t;

        int r = h->cgroup ? group_thaw(h->cgroup) : 0;
        int q = threads_of(h, &dirfd, NULL, &t);
        if (q >= 0 && (t.hanging > 0 || t.traced > 0 || stop_is_on(dirfd, &t)))
                q = process_continue(h->pid, h->start_time);
        return r < 0 ? r : q == -ESRCH ? 0 : q;
}

int holder_is_stopped(const Holder *h) {
        _cleanup_close_ int dirfd = -EBADF;
        ThreadStates t;

        int r = threads_of(h, &dirfd, NULL, &t);
        return r < 0 ? r : stop_is_on(dirfd, &t);
}

char *freeze_process_key(uint64_t pid, uint64_t start_time) {
        return strf("%ju:%ju", (uintmax_t) pid, (uintmax_t) start_time);
}

void freeze_notes_index(json_object *notes, json_object *set) {
        for (size_t i = 0; i < json_len(notes); i++) {
                json_object *note = json_at(notes, i);
                uint64_t pid = json_u64(note, "pid");
                _cleanup_free_ char *process = pid > 0 && !json_has(note, "signal") ? freeze_process_key(pid, json_u64(note, "start_time")) : NULL;
                const char *key = json_str(note, "cgroup") ?: process;
                if (key)
                        json_set_bool(set, key, true);
        }
}

/* Until it was told to go on, nobody can say that a stop of ours is not in force any more. */
static bool in_force(json_object *note) {
        const char *cgroup = json_str(note, "cgroup");
        const Holder h = { .pid = (int) json_u64(note, "pid"), .start_time = json_u64(note, "start_time") };
        _cleanup_close_ int dirfd = -EBADF;
        ThreadStates t;

        if (cgroup)
                return cgroup_asked_to_freeze(cgroup) > 0;
        return h.pid > 0 && threads_of(&h, &dirfd, NULL, &t) >= 0 && (!json_flag(note, CONTINUED) || stop_is_on(dirfd, &t));
}

bool freeze_notes_in_force(json_object *notes) {
        for (size_t i = 0; i < json_len(notes); i++)
                if (in_force(json_at(notes, i)))
                        return true;
        return false;
}

/* The line of a shell that undoes it. */
static char *undo_line(json_object *note) {
        const char *cgroup = json_str(note, "cgroup");
        _cleanup_free_ char *path = cgroup ? strf("/sys/fs/cgroup%s/cgroup.freeze", cgroup) : NULL, *quoted = path ? shell_quoted(path) : NULL;

        if (cgroup)
                return quoted ? strf("echo 0 > %s", quoted) : NULL;
        return strf("kill -CONT %ju", (uintmax_t) json_u64(note, "pid"));
}

void freeze_notes_standing(json_object *notes, json_object *lines) {
        for (size_t i = 0; i < json_len(notes); i++) {
                json_object *note = json_at(notes, i);
                const char *cgroup = json_str(note, "cgroup");
                const Holder h = { .pid = (int) json_u64(note, "pid"), .start_time = json_u64(note, "start_time") };

                if (json_has(note, "signal") || (!cgroup && h.pid <= 0))
                        continue;
                if ((cgroup ? cgroup_asked_to_freeze(cgroup) : holder_is_stopped(&h)) <= 0)
                        continue;
                _cleanup_free_ char *line = undo_line(note), *name = cgroup ? strdup(json_str(note, "unit") ?: cgroup) :
                                                                     strf("process %d (%s)", h.pid, json_str(note, "comm") ?: "?");
                if (line && name)
                        json_set_str(lines, line, name);
        }
}

static int undo(json_object *note, StepRun *run) {
        const char *cgroup = json_str(note, "cgroup");
        uint64_t pid = json_u64(note, "pid");

        int r = cgroup ? group_thaw(cgroup) : pid > 0 ? process_continue((int) pid, json_u64(note, "start_time")) : 0;
        if (r >= 0) {
                if (pid > 0)
                        json_set_bool(note, CONTINUED, true);
                return 0;
        }
        if (cgroup)
                return step_fail(run, r, "%s cannot be thawed: %s", cgroup, strerror(-r));
        return step_fail(run, r, "process %ju (%s) cannot be continued: %s", (uintmax_t) pid, json_str(note, "comm") ?: "?", strerror(-r));
}

/* Each that could not be undone, or stands still all the same, has its line, as many as somebody pastes. */
int freeze_notes_undo(json_object *notes, StepRun *run) {
        _cleanup_free_ char *lines = NULL;
        size_t n_lines = 0;
        int r = 0;

        for (size_t i = json_len(notes); i-- > 0;) {
                int q = undo(json_at(notes, i), run);
                bool stands = q < 0 || in_force(json_at(notes, i));
                _cleanup_free_ char *line = stands && n_lines++ < LINES_MAX ? undo_line(json_at(notes, i)) : NULL;
                if (line)
                        (void) text_add(&lines, "; ", "%s", line);
                r = r < 0 ? r : q;
        }
        if (lines)
                step_remedy(run, "%s", lines);
        return r;
}
