/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <poll.h>
#include <signal.h>

#include "base/clock.h"
#include "holders/process.h"
#include "kernel/process/cgroup.h"
#include "kernel/process/pidfd.h"
#include "step/evict/hold-meanwhile.h"
#include "step/evict/units.h"

enum {
        HOLD_TIMEOUT_SEC = 5,
        POLL_MSEC = 5,
};

void hold_meanwhile_begin(HoldMeanwhile *o, StepRun *run) {
        *o = (HoldMeanwhile) { .run = run, .ours = json_object_new_object() };
        for (uint64_t n = 0; n < run->n; n++)
                freeze_notes_index(step_notes_of(run, n), o->ours);
        freeze_notes_index(run->notes, o->ours);
}

void hold_meanwhile_done(HoldMeanwhile *o) {
        json_object_put(o->ours);
}

/* The path up to the unit's own group, newly allocated; NULL where it is not below one. */
static char *unit_group_of(const char *cgroup, const char *unit) {
        _cleanup_free_ char *part = unit ? strf("/%s", unit) : NULL;

        for (const char *at = part ? strstr(cgroup, part) : NULL; at; at = strstr(at + 1, part)) {
                const char *end = at + strlen(part);
                if (*end == '/' || *end == '\0')
                        return strndup(cgroup, (size_t) (end - cgroup));
        }
        return NULL;
}

/* One level up, in place. False: it was a group right below the root. */
static bool cut_level(char *path) {
        char *slash = strrchr(path, '/');

        if (!slash || slash == path)
                return false;
        *slash = '\0';
        return true;
}

/* Its manager has to know, or it takes the unit for frozen still and does nothing with it. */
static bool is_frozen_by_manager(const StepRun *run, const char *cgroup, const char *unit) {
        _cleanup_free_ char *own = unit_group_of(cgroup, unit);
        StepRun ask = { .limits = run->limits };

        bool frozen = streq_ptr(own, cgroup) && unit_is_frozen(&ask, unit);
        step_run_done(&ask);
        return frozen;
}

/* Where that fails the group is written to by hand. */
static void manager_freeze(const StepRun *run, const char *unit, bool freeze) {
        StepRun ask = { .limits = run->limits };

        (void) unit_freeze(&ask, unit, freeze);
        step_run_done(&ask);
}

static int group_note(HoldMeanwhile *o, const char *cgroup, const char *unit, bool by_manager) {
        json_object *note = json_object_new_object();
        uint64_t id = 0;

        (void) cgroup_id(cgroup, &id);
        json_set_str(note, "frozen", cgroup);
        json_set_u64(note, "id", id);
        json_set_str(note, "unit", unit);
        json_set_bool(note, "by_manager", by_manager);
        return step_note(o->run, note);
}

static int group_let_run(HoldMeanwhile *o, const char *cgroup, const char *unit) {
        int r = cgroup_asked_to_freeze(cgroup);

        if (r <= 0)
                return 0;
        bool by_manager = !json_has(o->ours, cgroup) && is_frozen_by_manager(o->run, cgroup, unit);
        r = json_has(o->ours, cgroup) || step_has_noted(o->run, "frozen", cgroup) ? 0 : group_note(o, cgroup, unit, by_manager);
        if (r < 0)
                return r;
        if (by_manager)
                manager_freeze(o->run, unit, false);
        (void) holder_thaw(&(Holder) { .cgroup = (char *) cgroup });
        return 0;
}

static int process_note(HoldMeanwhile *o, const Holder *h) {
        json_object *note = json_object_new_object();

        json_set_u64(note, "stopped", (uint64_t) h->pid);
        json_set_u64(note, "start_time", h->start_time);
        json_set_str(note, "comm", h->comm);
        json_set_str(note, "unit", h->unit);
        return step_note(o->run, note);
}

int others_let_run(HoldMeanwhile *o, const Holder *h) {
        _cleanup_free_ char *top = h->cgroup ? unit_group_of(h->cgroup, h->unit) : NULL, *at = h->cgroup ? strdup(h->cgroup) : NULL;
        _cleanup_free_ char *key = freeze_process_key((uint64_t) h->pid, h->start_time);
        int r = 0;

        if (key && !json_has(o->ours, key) && !step_has_noted_process(o->run, "stopped", (uint64_t) h->pid, h->start_time) && holder_is_stopped(h) > 0)
                r = process_note(o, h);
        for (bool more = at && !streq(at, "/"); more && r >= 0; more = top && strlen(at) > strlen(top) && cut_level(at))
                r = group_let_run(o, at, h->unit);
        if (r >= 0)
                (void) holder_thaw(h);
        return r;
}

int others_let_unit_run(HoldMeanwhile *o, const char *unit, const char *cgroup) {
        return cgroup ? group_let_run(o, cgroup, unit) : 0;
}

void others_let_ours_run(const HoldMeanwhile *o, const Holder *h) {
        _cleanup_free_ char *key = freeze_process_key((uint64_t) h->pid, h->start_time);
        Holder ours = { .pid = h->pid, .start_time = h->start_time, .cgroup = h->cgroup && json_has(o->ours, h->cgroup) ? h->cgroup : NULL };

        if (key && json_has(o->ours, key))
                (void) holder_thaw(&ours);
        else if (ours.cgroup)
                (void) holder_thaw(&(Holder) { .cgroup = ours.cgroup });
}

char *others_frozen_above(const Holder *h) {
        _cleanup_free_ char *top = h->cgroup ? unit_group_of(h->cgroup, h->unit) : NULL, *at = TAKE_PTR(top);

        if (!at && h->cgroup)
                at = strdup(h->cgroup);
        while (at && cut_level(at))
                if (cgroup_asked_to_freeze(at) > 0)
                        return TAKE_PTR(at);
        return NULL;
}

/* Units by what this removal has done to them, and what of them is up: sets of names. */
typedef struct Ended {
        StepRun *run;
        json_object *stopped;
        json_object *started;   /* stopped, or one of its processes has ended, and on the way back it is started again */
        json_object *up;        /* as the manager says, once it was asked */
} Ended;

static void ended_done(Ended *e) {
        json_object_put(e->stopped);
        json_object_put(e->started);
        json_object_put(e->up);
}

static void set_add(json_object *set, json_object *names) {
        for (size_t i = 0; i < json_len(names); i++)
                json_set_bool(set, json_object_get_string(json_at(names, i)) ?: "", true);
}

static bool is_gone(json_object *note) {
        return process_open((int) json_u64(note, "pid"), json_u64(note, "start_time"), NULL, NULL) == -ESRCH;
}

static Ended ended_find(StepRun *run) {
        Ended e = { .run = run, .stopped = json_object_new_object(), .started = json_object_new_object(), .up = json_object_new_object() };

        for (size_t i = 0; i < json_len(run->notes); i++) {
                json_object *note = json_at(run->notes, i), *units = json_get(note, "units");
                const char *stop = json_str(note, "stop");
                if (stop) {
                        json_set_bool(e.stopped, stop, true);
                        set_add(e.stopped, units);
                }
                if (run->backwards && (stop || (json_has(note, "signal") && json_len(units) > 0 && is_gone(note))))
                        set_add(e.started, units);
        }
        return e;
}

/* What is left of a unit that is on its way down has to run for that: its manager tells it to end. */
static bool is_going_down(const Ended *e, const char *unit) {
        _cleanup_(unit_infos_done) UnitInfos infos = { 0 };
        StepRun ask = { .limits = e->run->limits };
        const UnitInfo *u;

        if (!unit)
                return false;
        if (!e->run->backwards && json_has(e->stopped, unit))
                return true;
        if (!json_has(e->up, unit))
                json_set_bool(e->up, unit, unit_show(&ask, unit, &infos, &u) < 0 || !u->loaded || unit_info_is_up(u));
        step_run_done(&ask);
        return !json_flag(e->up, unit);
}

/* How much of the time for all of them together is left. */
static uint64_t time_until(uint64_t deadline) {
        uint64_t now = now_monotonic();

        return deadline > now ? deadline - now : 0;
}

static int group_hold(StepRun *run, json_object *note, uint64_t deadline) {
        const char *cgroup = json_str(note, "frozen");
        int r = 0;

        if (json_flag(note, "by_manager"))
                manager_freeze(run, json_str(note, "unit"), true);
        if (cgroup_asked_to_freeze(cgroup) == 0)
                r = cgroup_freeze(cgroup, true);
        /* Who is in the kernel gets there later, as it was before. */
        if (r >= 0)
                (void) cgroup_wait_frozen(cgroup, true, time_until(deadline));
        return r < 0 ? r : cgroup_asked_to_freeze(cgroup) > 0 ? 0 : -EIO;
}

static void group_hold_again(StepRun *run, const Ended *e, json_object *note, uint64_t deadline) {
        const char *cgroup = json_str(note, "frozen"), *unit = json_str(note, "unit");
        uint64_t id = 0;

        int r = cgroup_id(cgroup, &id);
        if (r == -ENOENT || is_going_down(e, unit))
                return;
        bool same = r >= 0 && (id == json_u64(note, "id") || json_has(e->started, unit ?: ""));
        if (same)
                r = group_hold(run, note, deadline);
        if (r == -ENOENT || (r >= 0 && same))
                return;
        _cleanup_free_ char *path = strf("/sys/fs/cgroup%s/cgroup.freeze", cgroup), *quoted = path ? shell_quoted(path) : NULL;
        step_lost(run, "%s was frozen by somebody else, and is not any more: %s (echo 1 > %s)", cgroup,
                  same ? strerror(-r) : "it is another group now", quoted ?: "its cgroup.freeze");
}

static Holder stopped_holder(json_object *note) {
        return (Holder) { .pid = (int) json_u64(note, "stopped"), .start_time = json_u64(note, "start_time") };
}

/* All at once, so that they are looked at when they have had time to stand: one after the other they would wait for each other. */
static void processes_stop(StepRun *run, const Ended *e) {
        for (size_t i = json_len(run->notes); i-- > 0;) {
                json_object *note = json_at(run->notes, i);
                const Holder h = stopped_holder(note);
                _cleanup_close_ int pidfd = -EBADF;

                if (!json_has(note, "stopped") || is_going_down(e, json_str(note, "unit")))
                        continue;
                if (process_open(h.pid, h.start_time, NULL, &pidfd) >= 0 && holder_is_stopped(&h) == 0)
                        (void) pidfd_signal(pidfd, SIGSTOP);
        }
}

static int process_hold(const Holder *h, uint64_t deadline) {
        _cleanup_close_ int pidfd = -EBADF;

        int r = process_open(h->pid, h->start_time, NULL, &pidfd);
        while (r >= 0 && (r = holder_is_stopped(h)) == 0 && now_monotonic() < deadline) {
                r = pidfd_signal(pidfd, SIGSTOP);
                (void) poll(NULL, 0, POLL_MSEC);
        }
        return r;
}

static void process_hold_again(StepRun *run, const Ended *e, json_object *note, uint64_t deadline) {
        const Holder h = stopped_holder(note);
        const char *comm = json_str(note, "comm") ?: "?", *unit = json_str(note, "unit");

        if (is_going_down(e, unit))
                return;
        int r = process_hold(&h, deadline);
        if (r == -ESRCH && run->backwards && json_has(e->stopped, unit ?: ""))
                step_lost(run, "process %d (%s), which somebody else had stopped, was ended; what %s has in its place is not stopped", h.pid, comm, unit);
        else if (r != -ESRCH && r <= 0)
                step_lost(run, "process %d (%s) was stopped by somebody else, and runs now: %s (kill -STOP %d)", h.pid, comm,
                          r < 0 ? strerror(-r) : "it is set going each time it is stopped", h.pid);
}

static bool is_any_noted(json_object *notes) {
        for (size_t i = 0; i < json_len(notes); i++)
                if (json_has(json_at(notes, i), "frozen") || json_has(json_at(notes, i), "stopped"))
                        return true;
        return false;
}

void others_hold_again(StepRun *run) {
        /* Who was frozen and goes on without the card was frozen again by the removal, and is its owner's. */
        if (run->restoring || !is_any_noted(run->notes))
                return;
        _cleanup_(ended_done) Ended e = ended_find(run);
        /* One for all of them: anybody may have thousands, and set each going as often as it is stopped. */
        uint64_t deadline = now_monotonic() + time_for(HOLD_TIMEOUT_SEC * USEC_PER_SEC);
        processes_stop(run, &e);
        for (size_t i = json_len(run->notes); i-- > 0;) {
                json_object *note = json_at(run->notes, i);
                if (json_has(note, "frozen"))
                        group_hold_again(run, &e, note, deadline);
                else if (json_has(note, "stopped"))
                        process_hold_again(run, &e, note, deadline);
        }
}
