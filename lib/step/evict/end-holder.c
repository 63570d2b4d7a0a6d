/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>

#include "base/clock.h"
#include "holders/process.h"
#include "kernel/process/pidfd.h"
#include "step/evict/end-holder.h"
#include "step/evict/holder-freeze.h"
#include "step/evict/shutdown.h"
#include "step/evict/units.h"
#include "step/undo/mount-back.h"

enum {
        TRACERS_MAX = 16,
};

void end_run_done(EndRun *e) {
        for (size_t i = 0; i < e->n_endings; i++)
                free(e->endings[i].why_not);
        for (size_t i = 0; i < e->n_stops; i++)
                free(e->stops[i].unit);
        free(e->endings);
        free(e->stops);
        json_object_put(e->tried);
        hold_meanwhile_done(&e->others);
}

static int ending_of(EndRun *e, const Holder *h, Ending **ret) {
        for (size_t i = 0; i < e->n_endings; i++)
                if (e->endings[i].pid == h->pid && e->endings[i].start_time == h->start_time) {
                        *ret = &e->endings[i];
                        return 0;
                }

        int r = vec_grow((void **) &e->endings, e->n_endings, &e->a_endings, sizeof(Ending));
        if (r < 0)
                return r;
        Ending *n = &e->endings[e->n_endings++];
        *n = (Ending) { .pid = h->pid, .start_time = h->start_time, .seen_at = now_monotonic() };
        const HolderForce force = { .kill = e->force_kill, .shutdown = end_shutdown_concerns(e, h) };
        n->n_rungs = holder_rule_ladder(holder_rule_for(e->look->rules, h), h, force, n->rungs);
        *ret = n;
        return 0;
}

static int signal_note(EndRun *e, const Holder *h, int signal) {
        json_object *note = json_object_new_object(), *units = json_object_new_array();

        /* A service that is ended by a signal to its process is to run again as one that was stopped is. */
        if (holder_unit_can_stop(h->unit) && !strstr(h->unit, ".scope"))
                names_add(units, h->unit);
        json_set_u64(note, "signal", (uint64_t) signal);
        json_set_u64(note, "pid", (uint64_t) h->pid);
        json_set_u64(note, "start_time", h->start_time);
        json_set_str(note, "comm", h->comm);
        json_set_u64(note, "uid", h->uid);
        json_set_str(note, "unit", h->unit);
        json_set(note, "units", units);
        return step_note(e->run, note);
}

/* The ending says who was sent what, not whom it was only noted of. 1, or a negative errno. */
static int unsent_note(EndRun *e, const Holder *h) {
        json_object *note = json_object_new_object();

        json_set_u64(note, "unsent", (uint64_t) h->pid);
        json_set_u64(note, "start_time", h->start_time);
        int r = step_note(e->run, note);
        return r < 0 ? r : 1;
}

/* Written down, looked at once more, and only then done: the descriptor is this process's whatever becomes of its number. */
static int signal_begin(EndRun *e, Ending *n, const Holder *h, int signal) {
        _cleanup_close_ int dirfd = -EBADF, pidfd = -EBADF;

        int r = process_open(h->pid, h->start_time, &dirfd, &pidfd);
        if (r < 0)
                return r == -ESRCH ? 1 : step_fail(e->run, r, "process %d: %s", h->pid, strerror(-r));
        if (signal == SIGTERM && process_ignores(dirfd, signal) > 0)
                return end_pass(n, strf("it ignores SIGTERM"));
        r = signal_note(e, h, signal);
        if (r >= 0)
                r = holder_look_again(e->look, h);
        if (r <= 0)
                return r < 0 ? r : unsent_note(e, h);
        step_progress(e->run, 0, 0, "%s to process %d (%s)", signal == SIGKILL ? "SIGKILL" : "SIGTERM", h->pid, h->comm);
        int sent = pidfd_signal(pidfd, signal);
        r = sent < 0 ? unsent_note(e, h) : 0;
        if (r < 0)
                return r;
        if (sent < 0 && sent != -ESRCH)
                return end_pass(n, strf("signalling it: %s", strerror(-sent)));
        /* What cannot be caught needs nobody to run for it. */
        if (signal == SIGKILL)
                others_let_ours_run(&e->others, h);
        else
                r = others_let_run(&e->others, h);
        return r < 0 && r != -ESRCH ? r : 1;
}

/* Who keeps it; and where that one was killed for it, has had his time, and is kept himself, who keeps him. */
static int keeper_of(const EndRun *e, const Ending *n, int dirfd) {
        int pid = process_kept_by(dirfd);

        for (unsigned i = 0; n->tracers > 0 && pid > 0 && i < TRACERS_MAX; i++) {
                _cleanup_free_ char *path = strf("/proc/%d", pid);
                _cleanup_close_ int above = path ? open(path, O_PATH | O_DIRECTORY | O_CLOEXEC) : -EBADF;
                ProcessStat st;

                int next = above < 0 || process_stat(above, &st) < 0 || !end_was_killed(e->run, pid, st.start_time) ? 0 : process_kept_by(above);
                if (next <= 0)
                        break;
                pid = next;
        }
        return pid;
}

/* Its tracer, if that is what keeps it, and may be ended itself: 1, or 0. -ESRCH: that has just ended, or let it go. */
static int tracer_of(EndRun *e, Ending *n, const Holder *h, Holder *ret) {
        _cleanup_(holder_done) Holder t = { 0 };
        _cleanup_close_ int dirfd = -EBADF;

        int pid = process_open(h->pid, h->start_time, &dirfd, NULL) < 0 ? 0 : keeper_of(e, n, dirfd);
        if (pid <= 0)
                return 0;
        int r = holder_of_process(e->look, pid, &t);
        if (r == -ESRCH || r == -ENOENT)
                return -ESRCH;
        if (r < 0)
                return end_pass(n, strf("it was killed, and process %d, which traces it, cannot be looked at: %s", pid, strerror(-r)));
        const Holder seen = { .pid = t.pid, .unit = t.unit, .exe = t.exe, .holds = h->holds, .n_holds = h->n_holds };
        json_object *rule = holder_rule_for(e->look->rules, &seen);
        bool refuses = holder_rule_has(rule, HOLDER_REFUSE);
        if (t.protected || refuses)
                return end_pass(n, strf("it was killed, and process %d (%s), which traces it, keeps it: %s", pid, t.comm,
                                        refuses ? holder_rule_reason(rule) : "that is never ended for a removal"));
        /* The one of this number and this time of start is the one that traces it. */
        if (keeper_of(e, n, dirfd) != pid)
                return -ESRCH;
        *ret = t;
        t = (Holder) { 0 };
        return 1;
}

/* Who is killed stops once more for a tracer that has asked for that (PTRACE_O_TRACEEXIT), with all that he has, and no further signal gets
 * through to him (kernel/signal.c:prepare_signal). One thread that stops so is enough, whichever thread of the tracer it is for. Anybody
 * can trace his own: what uses the card then is the tracer. 1: it was killed as well, or is gone; 0: not for this one; or an errno. */
static int tracer_kill(EndRun *e, Ending *n, const Holder *h) {
        _cleanup_(holder_done) Holder t = { 0 };
        _cleanup_close_ int pidfd = -EBADF;

        int r = n->tracers < TRACERS_MAX ? tracer_of(e, n, h, &t) : 0;
        if (r == 0)
                return 0;
        n->tracers++;
        if (r > 0)
                r = process_open(t.pid, t.start_time, NULL, &pidfd);
        if (r < 0 && r != -ESRCH)
                return end_pass(n, strf("it was killed, and process %d (%s), which traces it, cannot be opened: %s", t.pid, t.comm,
                                        strerror(-r)));
        n->until = now_monotonic() + holder_rule_usec(holder_rule_for(e->look->rules, h), HOLDER_KILL);
        if (r < 0) /* that does as well */
                return 1;
        r = signal_note(e, &t, SIGKILL);
        if (r < 0)
                return r;
        step_progress(e->run, 0, 0, "SIGKILL to process %d (%s), which keeps process %d (%s) from its end", t.pid, t.comm, h->pid, h->comm);
        int sent = pidfd_signal(pidfd, SIGKILL);
        r = sent < 0 ? unsent_note(e, &t) : 1;
        return r >= 0 && sent < 0 && sent != -ESRCH ? end_pass(n, strf("signalling its tracer: %s", strerror(-sent))) : r;
}

/* The rung "shutdown": the file systems of somebody who has outlived everything else end before he does, so that he comes back from
 * where he hangs in them, and writes nothing more. */

static bool uses(const EndRun *e, const Holder *h, json_object *entry) {
        dev_t dev;

        if (dev_parse(json_str(json_get(entry, "fs"), "dev"), &dev) < 0)
                return false;
        for (size_t i = 0; i < h->n_holds; i++) {
                if (h->holds[i].target >= e->look->targets.n_items)
                        continue;
                const HoldTarget *t = &e->look->targets.items[h->holds[i].target];
                if (t->kind == TARGET_FS && t->dev == dev)
                        return true;
        }
        return false;
}

bool end_shutdown_concerns(const EndRun *e, const Holder *h) {
        for (size_t i = 0; i < json_len(e->shutdown); i++)
                if (uses(e, h, json_at(e->shutdown, i)))
                        return true;
        return false;
}

static size_t rung_of(const Ending *n, HolderAction action) {
        for (size_t i = 0; i < n->n_rungs; i++)
                if (n->rungs[i] == action)
                        return i;
        return n->n_rungs;
}

/* Those who have their time still are not to get errors for the sake of another one. */
static bool has_time(const EndRun *e, const Holder *h) {
        for (size_t i = 0; i < e->n_endings; i++) {
                const Ending *n = &e->endings[i];
                if (n->pid == h->pid && n->start_time == h->start_time)
                        return n->at < rung_of(n, HOLDER_SHUTDOWN) && n->at < n->n_rungs;
        }
        return true; /* was not looked at in this round yet */
}

/* Who uses it, in words; NULL where one of them has time left. */
static char *users_text(const EndRun *e, json_object *entry) {
        const Holder *first = NULL;
        size_t more = 0;

        for (size_t i = 0; e->round && i < e->round->n_items; i++) {
                const Holder *h = &e->round->items[i];
                if (!uses(e, h, entry))
                        continue;
                if (has_time(e, h))
                        return NULL;
                more += first != NULL;
                first = first ?: h;
        }
        _cleanup_free_ char *name = first ? holder_name(first) : strdup("nobody"), *others = more > 0 ? strf(" and %zu more", more) : strdup("");
        return strf("%s%s", name ?: "?", others ?: "");
}

static bool was_tried(const EndRun *e, json_object *entry) {
        for (size_t i = 0; i < json_len(e->tried); i++)
                if (json_at(e->tried, i) == entry)
                        return true;
        return false;
}

static int end_one(EndRun *e, Ending *n, json_object *entry) {
        _cleanup_free_ char *users = users_text(e, entry);

        if (!users)
                return 1;
        e->tried = e->tried ?: json_object_new_array();
        json_object_array_add(e->tried, json_ref(entry));
        int r = fs_args_shut_down(entry, users, e->run);
        if (r == 0)
                (void) end_pass(n, strf("this kernel cannot shut down %s", json_str(json_get(entry, "fs"), "source")));
        return r < 0 ? r : 0;
}

/* The rung "shutdown" of a holder. 1: others of its file system have their time still; 0: over; or a negative errno with the reason
 * noted. */
static int end_shutdown(EndRun *e, Ending *n, const Holder *h) {
        for (size_t i = 0; i < json_len(e->shutdown); i++) {
                json_object *entry = json_at(e->shutdown, i);
                int r = !was_tried(e, entry) && uses(e, h, entry) ? end_one(e, n, entry) : 0;
                if (r != 0)
                        return r;
        }
        return 0;
}

static bool noted(StepRun *run, const char *key, json_object *entry) {
        return json_find(run->notes, key, json_str(json_get(entry, "fs"), "dev"));
}

static int bring_back(json_object *entry, StepRun *run) {
        int dead = fs_args_dead(entry, run);

        if (dead < 0)
                return dead;
        if (dead > 0) {
                json_object *note = json_object_new_object();
                json_set_str(note, "remounting", json_str(json_get(entry, "fs"), "dev"));
                int r = step_note(run, note);
                if (r < 0)
                        return r;
        }
        return noted(run, "remounting", entry) ? mounts_back(entry, run) : 0;
}

int end_shutdown_undo(json_object *entries, StepRun *run) {
        for (size_t i = json_len(entries); i-- > 0;) {
                int r = noted(run, "shutdown", json_at(entries, i)) ? bring_back(json_at(entries, i), run) : 0;
                if (r < 0)
                        return r;
        }
        return 0;
}

int end_shutdown_left(json_object *entries, StepRun *run) {
        for (size_t i = 0; i < json_len(entries); i++) {
                int r = noted(run, "shutdown", json_at(entries, i)) ? fs_args_dead(json_at(entries, i), run) : 0;
                if (r != 0)
                        return r;
        }
        return 0;
}

/* Whoever froze a group of several units did not freeze it for us. */
static bool may_obey(Ending *n, const Holder *h) {
        _cleanup_free_ char *above = others_frozen_above(h), *path = above ? strf("/sys/fs/cgroup%s/cgroup.freeze", above) : NULL;
        _cleanup_free_ char *quoted = path ? shell_quoted(path) : NULL;

        return !above || end_pass(n, strf("somebody has frozen %s, which it is in (echo 0 > %s)", above, quoted ?: "its cgroup.freeze"));
}

/* 1: begun; 0: not for this one; or a negative errno. */
static int rung_begin(EndRun *e, Ending *n, const Holder *h, HolderAction action, uint64_t wait_usec) {
        n->until = now_monotonic() + wait_usec;
        switch (action) {
        case HOLDER_WAIT:
                if (wait_usec > 0)
                        others_let_ours_run(&e->others, h);
                return wait_usec > 0;
        case HOLDER_FREEZE:
                return wait_usec > 0;
        case HOLDER_STOP:
                return may_obey(n, h) ? end_unit_begin(e, n, h, wait_usec) : 0;
        case HOLDER_TERM:
                return may_obey(n, h) ? signal_begin(e, n, h, SIGTERM) : 0;
        case HOLDER_KILL:
                return signal_begin(e, n, h, SIGKILL);
        default:
                return 0;
        }
}

static bool rung_over(const EndRun *e, const Ending *n, const Holder *h) {
        const UnitStop *s = n->rungs[n->at] == HOLDER_STOP ? end_unit_find(e, h->unit) : NULL;

        return s ? s->over : now_monotonic() >= n->until;
}

/* A unit that was down and has this process again: the same rung once more. */
static bool rung_again(const EndRun *e, Ending *n, const Holder *h) {
        const UnitStop *s = n->rungs[n->at] == HOLDER_STOP ? end_unit_find(e, h->unit) : NULL;
        bool first = !n->again;

        n->again = true;
        return s && s->was_down && first;
}

int end_holder(EndRun *e, const Holder *h, const Ending **ret_ending) {
        json_object *rule = holder_rule_for(e->look->rules, h);
        Ending *n;

        int r = ending_of(e, h, &n);
        if (r >= 0)
                r = end_unit_watch(e, h->unit);
        if (r < 0)
                return r;
        *ret_ending = n;
        for (; n->at < n->n_rungs; n->at++, n->begun = false) {
                HolderAction action = n->rungs[n->at];
                if (n->begun && rung_over(e, n, h)) {
                        r = action == HOLDER_KILL ? tracer_kill(e, n, h) : 0;
                        if (r != 0)
                                return r;
                        if (!rung_again(e, n, h)) {
                                if (action == HOLDER_STOP)
                                        (void) end_pass(n, strf("%s did not stop in its time", h->unit));
                                continue;
                        }
                        n->begun = false;
                }
                if (n->begun)
                        return 1;
                if (action == HOLDER_SHUTDOWN) {
                        r = end_shutdown(e, n, h);
                        if (r != 0)
                                return r;
                        continue;
                }
                r = rung_begin(e, n, h, action, holder_rule_usec(rule, action));
                n->begun = r > 0;
                if (r != 0)
                        return r;
        }
        return 0;
}

bool end_came_back(const EndRun *e, const Holder *h, const Ending *n) {
        const UnitStop *s = end_unit_find(e, h->unit);

        return s && (s->was_down || n->seen_at > s->begun_at);
}

char *end_waiting_for(const EndRun *e, const Holder *h) {
        for (size_t i = 0; i < e->n_endings; i++) {
                const Ending *n = &e->endings[i];
                uint64_t now = now_monotonic();
                if (n->pid != h->pid || n->start_time != h->start_time || !n->begun)
                        continue;
                uint64_t left = n->until > now ? (n->until - now) / USEC_PER_SEC + 1 : 0;
                if (n->rungs[n->at] == HOLDER_STOP)
                        return strf("waiting for %s to stop (%ju s left)", h->unit, (uintmax_t) left);
                return strf("waiting for process %d (%s) to end (%s, %ju s left)", h->pid, h->comm,
                            holder_action_to_string(n->rungs[n->at]), (uintmax_t) left);
        }
        return NULL;
}
