/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Freezes all processes that use the card, and looks again until no new ones are found. A frozen process opens, maps and forks nothing,
 * so later decisions are about a state that does not change. How each is frozen is in holder-freeze.c. */
#include <errno.h>
#include <fcntl.h>

#include "base/clock.h"
#include "holders/process.h"
#include "kernel/process/cgroup.h"
#include "step/evict/holder-freeze.h"

enum {
        /* Looks that found somebody new whom only SIGSTOP can hold up. Short-lived children come from somewhere: from the second look
         * on the parents are stopped too, from the fourth on everybody in their group. */
        LOOKS_TO_PARENTS = 1,
        LOOKS_TO_GROUP = 3,
        ANCESTORS_MAX = 16,

        /* Looks in a row that found nobody new, with a pause before each. One may fall between two children; where somebody bred them,
         * more must agree. The kernel has no event for "a file was opened". */
        QUIET_LOOKS = 2,
        QUIET_LOOKS_BRED = 5,
        PAUSE_MSEC = 20,

        /* Found running so often although it was held up each time: somebody sets it going again, and can do so for ever. */
        LET_BE_LOOKS = 8,
};

static void freeze_describe(json_object *args, char **ret_does, char **ret_undo) {
        _cleanup_free_ char *names = holder_targets_text(json_array(args, "targets"));

        *ret_does = strf("freeze the processes that use %s, until no new ones are found", names);
        *ret_undo = strf("thaw them, last first");
}

static uint64_t budget(uint64_t deadline) {
        uint64_t now = now_monotonic();

        return now < deadline ? deadline - now : 1;
}

/* A process of the same group that is no holder itself. One that is protected, or has ended, stays as it is. */
static int stop_other(const HolderLook *l, StepRun *run, const Holder *holder, int pid, FreezeTime *t, int *ret_ppid) {
        _cleanup_(holder_done) Holder h = { .pid = pid };
        _cleanup_free_ char *path = strf("/proc/%d", pid);
        ProcessStat st;

        _cleanup_close_ int dirfd = path ? open(path, O_PATH | O_DIRECTORY | O_CLOEXEC) : -EBADF;
        if (dirfd < 0 || process_stat(dirfd, &st) < 0 || process_comm(dirfd, &h.comm) < 0 || process_uid(dirfd, &h.uid) < 0 ||
            process_unit_and_cgroup(dirfd, &h.unit, &h.cgroup) < 0)
                return -ESRCH;
        if (protection_covers(&l->protection, pid, &st, h.unit) || !streq_ptr(h.cgroup, holder->cgroup))
                return -ESRCH;
        h.start_time = st.start_time;
        *ret_ppid = st.ppid;
        return holder_stop_other(run, &h, holder_is_killed(l, holder), t);
}

static int stop_ancestors(const HolderLook *l, StepRun *run, const Holder *h, FreezeTime *t) {
        int pid = h->pid, r = 0;

        for (unsigned i = 0; i < ANCESTORS_MAX && pid > 1 && r >= 0; i++)
                r = stop_other(l, run, h, pid, t, &pid);
        return r == -ESRCH ? 0 : r;
}

static int stop_group(const HolderLook *l, StepRun *run, const Holder *h, FreezeTime *t) {
        _cleanup_free_ int *pids = NULL;
        size_t n = 0;
        int ppid;

        if (!h->cgroup || streq(h->cgroup, "/") || cgroup_pids(h->cgroup, &pids, &n) < 0)
                return 0;
        for (size_t i = 0; i < n; i++) {
                int r = stop_other(l, run, h, pids[i], t, &ppid);
                if (r < 0 && r != -ESRCH)
                        return r;
        }
        return 0;
}

static int hold_up(const HolderLook *l, StepRun *run, const Holder *h, unsigned looks, FreezeTime *t) {
        int r = holder_freeze(l, run, h, t);
        if (r < 0 && r != -ESRCH)
                return r;
        if (h->cgroup && cgroup_is_frozen(h->cgroup) > 0)
                return 0;
        r = 0;
        if (looks >= LOOKS_TO_PARENTS)
                r = stop_ancestors(l, run, h, t);
        if (r >= 0 && looks >= LOOKS_TO_GROUP)
                r = stop_group(l, run, h, t);
        return r == -ESRCH ? 0 : r;
}

/* Who is let be counts as dealt with. */
static int stands_still(const HolderLook *l, StepRun *run, const Holder *h) {
        int r = holder_is_frozen(h);

        return r == 0 ? holder_is_let_be(run, h) || (holder_is_killed(l, h) && killed_are_let_be(run)) : r;
}

/* seen: how often each was found running. */
static int count_and_hold_up(const HolderLook *l, StepRun *run, json_object *seen, const Holder *h, unsigned looks, FreezeTime *t) {
        char key[48];

        snprintf(key, sizeof(key), "%d:%ju", h->pid, (uintmax_t) h->start_time);
        uint64_t times = json_u64(seen, key) + 1;
        json_set_u64(seen, key, times);
        if (times <= LET_BE_LOOKS)
                return hold_up(l, run, h, looks, t);
        step_progress(run, 0, 0, "process %d (%s) is continued by somebody each time it is stopped; it runs until it is ended", h->pid, h->comm);
        return holder_let_be(run, h);
}

/* Those who can still run, and those of them who have to stand. A holder that ended since it was seen counts: somebody sends such children. */
static int freeze_round(const HolderLook *l, StepRun *run, json_object *seen, unsigned looks, FreezeTime *t, size_t *ret_new, size_t *ret_must) {
        _cleanup_(holders_freep) Holders *found = NULL;
        size_t n = 0, must = 0;

        int r = holder_look(l, run, budget(t->deadline), &found);
        if (r >= 0)
                r = holders_note(l, run, found);
        for (size_t i = 0; r >= 0 && i < found->n_items; i++) {
                const Holder *h = &found->items[i];
                if (stands_still(l, run, h) > 0)
                        continue;
                step_progress(run, i, found->n_items, "freezing %s", h->unit ?: h->comm);
                n++;
                must += !holder_is_killed(l, h);
                r = count_and_hold_up(l, run, seen, h, looks, t);
        }
        if (r >= 0) {
                *ret_new = n;
                *ret_must = must;
        }
        return r;
}

static int freeze_apply(json_object *args, StepRun *run) {
        FreezeTime t = freeze_time(json_u64(args, "timeout_sec") * USEC_PER_SEC);
        _cleanup_(holder_look_done) HolderLook l = { 0 };
        _cleanup_json_ json_object *seen = json_object_new_object();

        int r = holder_look_begin(args, run, &l);
        if (r < 0)
                return r;
        for (unsigned looks = 0, quiet = 0;;) {
                size_t n, must;

                r = freeze_round(&l, run, seen, looks, &t, &n, &must);
                if (r >= 0) {
                        quiet = n > 0 ? 0 : quiet + 1;
                        looks += n > 0;
                        if (quiet >= (looks > LOOKS_TO_PARENTS ? QUIET_LOOKS_BRED : QUIET_LOOKS))
                                return 0;
                }
                if (step_cancelled(run))
                        return step_fail(run, -ECANCELED, "cancelled");
                if (r == -EAGAIN && now_monotonic() < t.deadline)
                        continue;
                if (r < 0)
                        return r;
                step_pause(run, PAUSE_MSEC);
                if (n > 0 && must == 0 && now_monotonic() >= t.deadline)
                        return killed_let_be(run);
                if (n > 0 && now_monotonic() >= t.deadline)
                        return step_fail(run, -EBUSY, "new users of the card keep appearing (%zu in the last look)", n);
        }
}

static int freeze_check(json_object *args, StepRun *run) {
        _cleanup_(holder_look_done) HolderLook l = { 0 };
        _cleanup_(holders_freep) Holders *found = NULL;

        int r = holder_look_begin(args, run, &l);
        return r < 0 ? r : holder_look(&l, run, json_u64(args, "timeout_sec") * USEC_PER_SEC, &found);
}

static int freeze_revert(json_object *args, StepRun *run) {
        return freeze_notes_undo(run->notes, run);
}

static int freeze_verify(json_object *args, StepRun *run) {
        uint64_t budget_usec = json_u64(args, "timeout_sec") * USEC_PER_SEC;
        _cleanup_(holder_look_done) HolderLook l = { 0 };
        _cleanup_(holders_freep) Holders *found = NULL;
        size_t frozen = 0, free_ones = 0;

        if (run->backwards)
                return freeze_notes_in_force(run->notes) ? STEP_PARTLY_APPLIED : STEP_NOT_APPLIED;

        int r = holder_look_begin(args, run, &l);
        if (r >= 0)
                r = holder_look(&l, run, budget_usec, &found);
        if (r >= 0 && found->n_items == 0) {
                step_pause(run, PAUSE_MSEC);
                holders_free(TAKE_PTR(found));
                r = holder_look(&l, run, budget_usec, &found);
        }
        if (r == -EBUSY)
                return STEP_NOT_APPLIED; /* somebody must not be disturbed: check() says so, or apply() has */
        if (r < 0)
                return r;
        for (size_t i = 0; i < found->n_items; i++) {
                r = stands_still(&l, run, &found->items[i]);
                frozen += r > 0;
                free_ones += r == 0;
        }
        return free_ones == 0 ? STEP_APPLIED : frozen > 0 ? STEP_PARTLY_APPLIED : STEP_NOT_APPLIED;
}

const StepOps step_freeze_holders_ops = {
        .meanwhile = MEANWHILE_LET_RUN,
        .typical_usec = 500000,
        .args = "targets:a rules:a timeout_sec:u",
        .describe = freeze_describe,
        .check = freeze_check,
        .apply = freeze_apply,
        .revert = freeze_revert,
        .verify = freeze_verify,
};
