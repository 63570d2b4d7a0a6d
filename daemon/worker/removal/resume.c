/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Going on with a removal whose worker is gone, from its journal and the kernel alone. */
#include <errno.h>

#include "base/clock.h"
#include "base/parse.h"
#include "daemon/worker/lost/last-seen.h"
#include "daemon/worker/rights/forced.h"
#include "daemon/worker/verbs.h"
#include "engine/engine.h"
#include "engine/state-dir.h"
#include "kernel/process/apart.h"
#include "plan/finish.h"
#include "config.h"
#include "removal.h"

enum {
        WRITER_POLL_MSEC = 100,
};

/* After the unit's TimeoutStopSec= the manager kills whoever is not through. */
#define GIVE_BACK_USEC (STOP_SEC * 4 / 5 * USEC_PER_SEC)

/* The workers of the service are gone by then, but for those that nobody can end: so long for somebody else's. */
#define GIVE_BACK_LOCK_USEC (30 * USEC_PER_SEC)

/* A service that is stopped has other slots to give back too, within its stop time. */
#define GIVE_BACK_WRITE_USEC (20 * USEC_PER_SEC)

/* Until when one removal of a give-back has what, all of them zero where there is no hurry. */
typedef struct GiveBack {
        uint64_t lock, steps, slots;
        json_object *audit_later;
} GiveBack;

/* A plan that only holds was a button's, and nobody has looked at the card yet. */
static bool is_hold_only(const Plan *p) {
        return !json_has(p->doc, "takes_down") && !plan_is_restoration(p);
}

/* What the worker that is gone was writing. Newly allocated, NULL once it has returned; it has the time that a write has. */
static char *still_writing(Removal *m, bool back) {
        uint64_t limit = m->request.policy.limits.write_timeout_usec, deadline;

        if (back && limit > GIVE_BACK_WRITE_USEC)
                limit = GIVE_BACK_WRITE_USEC;
        deadline = now_monotonic() + time_for(limit);
        for (json_object *writer; (writer = journal_writer(m->journal)); step_pause(&m->engine.run, WRITER_POLL_MSEC))
                if (now_monotonic() >= deadline)
                        return writer_text(writer);
        return NULL;
}

/* 1: it was told. */
static int tell_outliving(Removal *m, size_t n) {
        const StepOps *ops = step_ops(m->plan->steps[n].type);
        _cleanup_free_ char *does = NULL, *undo = NULL;

        if (!ops->outlives_boot)
                return 0;
        engine_turn_to(&m->engine, n);
        int state = ops->verify(m->engine.args, &m->engine.run);
        if (state == STEP_NOT_APPLIED)
                return 0;
        ops->describe(m->engine.args, &does, &undo);
        _cleanup_json_ json_object *texts = json_object_new_array();
        json_append_strf(texts, "%s was %s before the machine was started anew, and is not undone%s%s", does ?: "?",
                         state == STEP_APPLIED ? "done" : "begun", undo ? ": " : "", undo ?: "");
        (void) journal_lost(m->journal, n, texts);
        return 1;
}

/* What was told to the kernel has ended with it; what was written to a disk has not. */
static int end_after_boot(Removal *m) {
        int told = 0;

        removal_set_up_engine(m);
        m->engine.run.backwards = true;
        for (size_t n = 0; n < m->plan->n_steps && m->journal->last_do != SIZE_MAX && n <= m->journal->last_do; n++)
                told |= tell_outliving(m, n);
        const char *what = plan_is_restoration(m->plan) ? "restoration" : "removal";
        _cleanup_free_ char *now = removal_compare_boot(m), *message =
                strf("the machine was started anew while this %s ran; %s%s", what,
                     told ? "what it had done to disks and cards is listed, and was not put back" : "none of its steps outlasts a restart", now ?: "");
        return removal_end(m, OUTCOME_INTERRUPTED, "interrupted", message ?: "the machine was started anew", NULL);
}

/* Why what was seen in one of the slots may be of a card that this plan does not know, where a slot has none. Newly allocated; NULL: nothing was. */
static char *later_in(const Removal *m, const Topology *t, json_object *place) {
        const char *port = json_str(place, "port"), *name = json_str(place, "name");
        const Slot *slot = port ? topology_slot_of_port(t, port) : name ? topology_slot(t, name) : NULL;
        _cleanup_json_ json_object *seen = NULL;

        if (!slot || !finish_scope(m->plan, slot))
                return NULL;
        int r = last_seen_gone(t, slot, &seen);
        if (r < 0)
                return last_seen_left(last_seen_key(slot->port, slot->name)) ?: strdup(strerror(-r));
        if (!seen || !finish_is_later(m->plan, slot, seen, json_u64(m->journal->start, "monotonic_usec"), UINT64_MAX))
                return NULL;
        return strf("another card may have been in slot %s since, of which the plan knows nothing", slot->name);
}

/* Whoever began it has left the slots to the kernel. Newly allocated; NULL: no other card was seen there. Who asks once more has it proved gone as well
 * (plan/finish.h). */
static char *other_card(const Removal *m) {
        _cleanup_(topology_freep) Topology *t = NULL;
        char *why = NULL;

        int r = topology_load(&t);
        if (r < 0)
                return strf("the machine cannot be looked at: %s", strerror(-r));
        for (size_t i = 0; i < plan_n_slots(m->plan) && !why; i++)
                why = later_in(m, t, plan_slot(m->plan, i));
        return why;
}

/* Nobody wants the test any more, and it has no way back. Slots of which none has its power back yet stay without, as after a removal; once that has begun
 * nothing more is written, unless there is nothing left to be. */
static int call_test_off(Removal *m) {
        size_t last = m->journal->last_do, n = 0;

        while (n < m->plan->n_steps && m->plan->steps[n].type != STEP_POWER_ON)
                n++;
        if (n < m->plan->n_steps && last < n) {
                m->engine.end = n;
                return removal_go_forward(m);
        }
        for (; n < m->plan->n_steps; n++) {
                engine_turn_to(&m->engine, n);
                if (step_ops(m->plan->steps[n].type)->verify(m->engine.args, &m->engine.run) != STEP_APPLIED)
                        return removal_stop_behind(m, "the self-test was called off while it switched the power on again");
        }
        return removal_go_forward(m);
}

/* Its record lacks the end that it had in this boot: the disk was full, or the state folder is an older one by now. 1: so it is, and that is told. */
static int tell_kept_end(Removal *m) {
        _cleanup_json_ json_object *end = NULL;

        if (journal_end_kept(m->journal, &end) < 0)
                return 0;
        int outcome = outcome_from_string(json_str(end, "outcome"));
        m->unwritten = journal_append(m->journal, end) < 0;
        m->journal->ended = true;
        json_object_put(m->journal->lost);
        m->journal->lost = json_ref(json_array(end, "lost"));
        tell_end(m, outcome < 0 ? OUTCOME_STUCK : (Outcome) outcome, json_str(end, "code") ?: "", json_str(end, "message") ?: "", json_array(end, "remedy"));
        return 1;
}

static int resume_opened(Removal *m, bool back) {
        Journal *j = m->journal;

        if (j->other_boot)
                return end_after_boot(m);

        tell_plan(m);
        removal_set_up_engine(m);
        m->engine.resumed = true;
        _cleanup_free_ char *writing = still_writing(m, back);
        m->engine.left_behind = writing;
        if (plan_is_restoration(m->plan))
                return restoration_resume(m, back || writing);
        m->engine.failed_step = j->last_do == SIZE_MAX ? 0 : j->last_do;
        m->engine.touched_tail = m->engine.failed_step >= plan_first_irreversible(m->plan);
        if (writing && !j->backwards)
                return removal_stop_behind(m, writing);
        if (j->backwards)
                return removal_go_back(m, j->back_code ?: "failed", j->back_why);
        if (back && engine_can_go_back(&m->engine))
                return removal_go_back(m, "cancelled", "the worker or the service ended in the middle of it");
        if (!is_hold_only(m->plan)) {
                /* A plan that must not be carried out is on record too, from before somebody could write "back" after it. */
                const char *code = NULL;
                _cleanup_free_ char *objection = removal_objection(m, &code);
                if (objection)
                        return removal_go_back(m, code, objection);
                /* The card that a self-test has given its power back is the plan's own, which that step asks for itself. */
                bool asks = m->engine.touched_tail && m->plan->steps[m->engine.failed_step].type != STEP_POWER_ON;
                _cleanup_free_ char *other = asks ? other_card(m) : NULL;
                if (other)
                        return removal_stop_behind(m, other);
                /* A service that stops has it go on: what it gives back, it gives back as it was. */
                return back && m->until == 0 && plan_is_self_test(m->plan) ? call_test_off(m) : removal_go_forward(m);
        }

        int r = engine_forward(&m->engine);
        return r < 0 ? removal_go_back(m, "failed", m->engine.run.why) : removal_run_held(m);
}

/* Another has the machine, and does not come to an end. The slot belongs to this removal alone, and whoever held it gets it back; the rest is
 * left to the next start of the service, which finds the record without its end and turned back. */
static int give_slots_back(Removal *m) {
        Engine *e = &m->engine;
        size_t last = m->journal->last_do;
        int result = 0;

        /* After the point of no return there is no slot to give back, and forward needs the machine. */
        if (!plan_is_restoration(m->plan) && last != SIZE_MAX && last >= plan_first_irreversible(m->plan))
                return -EWOULDBLOCK;

        e->run.ignore_cancel = e->run.backwards = true;
        if (!m->journal->backwards)
                (void) journal_back(m->journal, "cancelled", "the service was stopped in the middle of it");
        for (size_t n = m->plan->n_steps; n-- > 0;) {
                if (m->plan->steps[n].type != STEP_HOLD)
                        continue;
                engine_turn_to(e, n);
                int r = engine_revert(e, n);
                result = result < 0 ? result : r;
        }
        _cleanup_free_ char *slots = plan_slot_words(m->plan);
        _cleanup_free_ char *why = strf("another removal is at work, of slot %s %s; the next start of the service puts back the rest", slots ?: "?",
                                        result < 0 ? "nothing could be given back" : "the slot itself was given back");
        worker_send_error(m->io, "interrupted", why ?: strerror(ENOMEM));
        return result;
}

static int resume(WorkerIo *io, const char *id, bool back, const GiveBack *g) {
        _cleanup_(removal_done) Removal m = {
                .io = io, .lock = -EBADF, .started = now_monotonic(), .until_lock = g->lock, .until = g->steps, .until_slots = g->slots,
                .audit_later = g->audit_later,
        };
        _cleanup_free_ char *why = NULL;

        library_set_listener(tell_said, &m);
        int r = journal_open(id, &m.journal, &m.plan, &why);
        if (r < 0) {
                worker_send_error(io, "internal", why ?: strerror(-r));
                return r;
        }
        if (m.journal->ended || tell_kept_end(&m) > 0)
                return 0;

        /* The request as it was, with the limits that it began with; what the files say by now is for the next one. */
        m.request.doc = json_ref(m.journal->start);
        m.request.warnings = json_object_new_array();
        StepRun run = tell_step_run(&m);
        m.request.cancelled = run.cancelled;
        m.request.userdata = run.userdata;
        m.request.policy = policy_default();
        (void) policy_load(&m.request.policy, m.request.warnings);
        (void) policy_apply_options(&m.request.policy, json_get(m.journal->start, "options"), &why);
        policy_take_limits(&m.request.policy, json_get(m.journal->start, "limits"));
        const char *port = json_str(json_get(m.plan->doc, "slot"), "port");
        m.request.slot_name = strdup(plan_slot_name(m.plan) ?: "");
        m.request.port = port ? strdup(port) : NULL;

        m.request.inhibitors = json_ref(io->inhibitors); /* one that was only held is still to be planned */

        removal_set_up_engine(&m);
        time_set_end(g->steps);
        if (!is_hold_only(m.plan))
                r = removal_take_machine(&m);
        if (r == -ECANCELED) {
                /* Going back changes the machine as well, so it waits its turn. */
                back = m.engine.run.ignore_cancel = true;
                r = removal_take_machine(&m);
        }
        if (r == -EWOULDBLOCK && g->lock > 0)
                return m.journal->other_boot ? r : give_slots_back(&m);
        if (r < 0)
                return r;
        return resume_opened(&m, back);
}

int worker_resume(WorkerIo *io, const char *id, bool back) {
        apart_make_ready();
        return resume(io, id, back, &(GiveBack) { 0 });
}

static bool is_unfinished(uint64_t number) {
        _cleanup_free_ char *id = strf("%ju", (uintmax_t) number), *why = NULL, *dir = NULL;
        _cleanup_(journal_freep) Journal *journal = NULL;
        _cleanup_(plan_freep) Plan *plan = NULL;

        /* What is wrong with it is told when its turn comes. */
        int r = id ? journal_read(id, &journal, &plan, &why) : -ENOMEM;
        if (r == -EPROTONOSUPPORT && removal_dir(id, &dir) >= 0)
                return removal_may_be_under_way(dir);
        return r < 0 || !journal->ended;
}

/* Drills do not wait for minutes. */
uint64_t give_back_usec(void) {
        const char *text = getenv("SAFE_REMOVE_GIVE_BACK_SEC");
        uint64_t sec;

        return text && parse_u64(text, &sec) >= 0 && sec > 0 && sec < STOP_SEC ? sec * USEC_PER_SEC : GIVE_BACK_USEC;
}

/* All that are left have the same time, and none can take another one's. */
static GiveBack share_of(uint64_t start, uint64_t end, size_t left) {
        uint64_t now = now_monotonic(), share = end > now ? (end - now) / left : 0, lock = start + GIVE_BACK_LOCK_USEC;

        return (GiveBack) {
                .lock = lock < now + share / 4 ? lock : now + share / 4, .steps = now + share * 3 / 4, .slots = now + share,
        };
}

int give_back_by_records(WorkerIo *io, uint64_t end) {
        _cleanup_json_ json_object *forced = json_object_new_array();
        _cleanup_free_ uint64_t *ids = NULL;
        uint64_t start = now_monotonic();
        size_t n = 0, n_unfinished = 0;

        int r = removal_ids(&ids, &n);
        if (r < 0)
                return r;
        for (size_t i = 0; i < n; i++)
                if (is_unfinished(ids[i]))
                        ids[n_unfinished++] = ids[i];
        for (size_t i = 0; i < n_unfinished; i++) {
                _cleanup_free_ char *id = strf("%ju", (uintmax_t) ids[i]);
                GiveBack g = share_of(start, end, n_unfinished - i);
                g.audit_later = forced;
                int q = id ? resume(io, id, true, &g) : -ENOMEM;
                r = r < 0 ? r : q;
        }
        _cleanup_free_ _unused_ char *unaudited = forced_audit(forced); /* once all of them are through */
        return r;
}
