/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/run-dir.h"
#include "engine/engine.h"
#include "engine/identity.h"
#include "kernel/sysfs/attr.h"
#include "kernel/sysfs/write-watch.h"

#define SLOT_USEC (5 * USEC_PER_SEC)
#define DRILL_LOOK_MSEC 50

enum {
        REMEDIES_MAX = 8, /* that a person reads */
};

static const char *const outcome_table[_OUTCOME_MAX] = {
        [OUTCOME_SAFE] = "safe",
        [OUTCOME_RESTORED] = "restored",
        [OUTCOME_REFUSED] = "refused",
        [OUTCOME_NOTHING] = "nothing",
        [OUTCOME_STUCK] = "stuck",
        [OUTCOME_INTERRUPTED] = "interrupted",
        [OUTCOME_RELEASED] = "released",
        [OUTCOME_TESTED] = "tested",
        [OUTCOME_REBUILT] = "rebuilt",
        [OUTCOME_INCOMPLETE] = "incomplete",
};

DEFINE_STRING_TABLE(outcome, Outcome)

static const char *const step_phase_table[_STEP_PHASE_MAX] = {
        [PHASE_DO] = "do",
        [PHASE_DONE] = "done",
        [PHASE_UNDO] = "undo",
        [PHASE_UNDONE] = "undone",
        [PHASE_FAILED] = "failed",
};

DEFINE_STRING_TABLE(step_phase, StepPhase)

void engine_done(Engine *e) {
        step_run_done(&e->run);
        json_object_put(TAKE_PTR(e->args));
        region_moves_done(&e->moves);
        write_watch_end(TAKE_PTR(e->watch));
        free(TAKE_PTR(e->rival));
        free(TAKE_PTR(e->stuck_why));
        free(TAKE_PTR(e->stuck_remedy));
        json_object_put(TAKE_PTR(e->more_remedies));
}

int engine_record(Engine *e, size_t n, StepPhase phase, const char *text, uint64_t usec) {
        int r = journal_step(e->journal, step_phase_to_string(phase), n, text);

        if (e->listener.step)
                e->listener.step(e->listener.userdata, n, phase, text, usec);
        return r < 0 ? step_fail_unrecorded(&e->run, r) : 0;
}

void engine_record_failed(Engine *e, size_t n) {
        (void) journal_step(e->journal, step_phase_to_string(PHASE_FAILED), n, e->run.why);
        if (e->listener.step)
                e->listener.step(e->listener.userdata, n, PHASE_FAILED, e->run.why, 0);
}

static int note(StepRun *run, json_object *notes) {
        Engine *e = (Engine *) ((char *) run - offsetof(Engine, run));

        int r = journal_note(e->journal, e->step, notes);
        run->notes = journal_notes(e->journal, e->step);
        return r;
}

static json_object *notes_of(StepRun *run, uint64_t n) {
        const Engine *e = (Engine *) ((char *) run - offsetof(Engine, run));

        return journal_notes(e->journal, n);
}

static bool may_darken(StepRun *run, const char *port) {
        const Engine *e = (Engine *) ((char *) run - offsetof(Engine, run));

        return journal_may_darken(e->journal, port);
}

/* What is to be done about a card that is not as it was, where that shows: the line that brings it back, and a new plan. */
static void remedy_for_card(Engine *e, const char *slot) {
        _cleanup_free_ char *remedy = card_remedy(e->plan, slot);

        if (remedy)
                step_remedy(&e->run, "%s", remedy);
}

static int same_card(StepRun *run) {
        Engine *e = (Engine *) ((char *) run - offsetof(Engine, run));
        _cleanup_free_ char *why = NULL;

        /* A step that is about one slot of several asks for the card in that one: another may have no power any more. */
        const char *slot = json_str(json_get(e->plan->steps[e->step].args, "scope"), "slot"), *pulled = plan_pulled_slot(e->plan, slot);
        if (pulled)
                return step_fail(run, -ENODEV, "the card was pulled out of slot %s", pulled);
        int r = card_identity_check(json_get(e->plan->doc, "card"), slot, &why);
        if (r < 0)
                remedy_for_card(e, slot);
        return r < 0 ? step_fail(run, r, "%s", why ?: strerror(-r)) : 0;
}

/* Whatever became of the time, the slot has some: who is behind it has a hold and nobody who gives it back. */
static void set_end(const Engine *e, size_t n) {
        uint64_t least = now_monotonic() + SLOT_USEC;

        if (e->until > 0 && step_ops(e->plan->steps[n].type)->urgent)
                time_set_end(e->until_slots > least ? e->until_slots : least);
        else if (e->until > 0)
                time_set_end(e->until);
}

void engine_turn_to(Engine *e, size_t n) {
        set_end(e, n);
        e->step = e->run.n = n;
        e->run.resumed = e->resumed;
        e->run.steps = e->plan->steps;
        e->run.n_steps = e->plan->n_steps;
        json_object_put(e->args);
        e->args = region_moves_apply(&e->moves, e->plan->steps[n].args);
        e->run.note = note;
        e->run.notes_of = notes_of;
        e->run.takes_down = json_get(e->plan->doc, "takes_down");
        e->run.card = json_get(e->plan->doc, "card");
        e->run.plan = e->plan->doc;
        e->run.removal = journal_removal(e->journal);
        e->run.same_card = same_card;
        e->run.may_darken = may_darken;
        e->run.notes = journal_notes(e->journal, n);
        free(TAKE_PTR(e->run.why));
        free(TAKE_PTR(e->run.remedy));
        e->run.contested = e->run.not_kept = e->run.unrecorded = false;
}

/* Written down before the step itself is said to be over, or another worker would not know. */
static void record_lost(Engine *e) {
        (void) journal_lost(e->journal, e->step, e->run.lost);
        json_object_put(TAKE_PTR(e->run.lost));
}

void engine_tell_state(Engine *e, const char *state) {
        if (e->listener.state)
                e->listener.state(e->listener.userdata, state);
}

/* A step that cannot be undone and has begun is finished whatever is left of the card. */
int engine_identity_check(Engine *e, const StepOps *ops, int state) {
        if (!ops->needs_card || (ops->irreversible && state == STEP_PARTLY_APPLIED))
                return 0;
        return same_card(&e->run);
}

/* A pause inside a step's bracket in the journal, for rehearsals: a second press, a kill, a look at the LED. It is over when whoever rehearses says so
 * by a file of that name, so that he need not be quicker than so many milliseconds. */
static void drill_pause(Engine *e, const char *when, StepType type) {
        const StepLimits *l = e->run.limits;

        if (l->step_delay_at != 0 && !(l->step_delay_at >> type & 1))
                return;
        _cleanup_free_ char *over = strf("%s/drill-over/%s-%s", run_dir(), when, step_type_to_string(type));
        uint64_t until = now_monotonic() + l->step_delay_usec;
        for (uint64_t now = now_monotonic(); now < until && !step_cancelled(&e->run) && (!over || access(over, F_OK) < 0); now = now_monotonic()) {
                uint64_t left = (until - now) / USEC_PER_MSEC + 1;
                step_pause(&e->run, left > DRILL_LOOK_MSEC ? DRILL_LOOK_MSEC : (unsigned) left);
        }
}

/* A card that is gone from its address: somebody else has taken it off the bus, or its power as well. Where what the step wants is reached by that, or on
 * its way, the removal goes on to the power, before which all is asked. */
static bool is_gone_by_others(Engine *e, const Step *step) {
        const StepOps *ops = step_ops(step->type);

        if (!ops->takes_power && !card_is_taken_off(json_get(e->plan->doc, "card")))
                return false;
        int state = step->type == STEP_RELEASE ? STEP_APPLIED : ops->verify(step->args, &e->run);
        return state == STEP_APPLIED || (state == STEP_PARTLY_APPLIED && ops->takes_power);
}

static int card_check(Engine *e, const Step *step, int before) {
        int r = engine_identity_check(e, step_ops(step->type), before);

        if (r >= 0 || !is_gone_by_others(e, step))
                return r;
        free(TAKE_PTR(e->run.why));
        free(TAKE_PTR(e->run.remedy));
        return 0;
}

/* A wish to go back is heard up to the write of the first step that cannot be undone; which a worker that died, or somebody else, may have made already,
 * and then it shows. */
static bool is_cancelled_before(Engine *e, size_t n, bool begun) {
        const StepOps *ops = step_ops(e->plan->steps[n].type);

        if (ops->urgent || n > plan_first_irreversible(e->plan) || !step_cancelled(&e->run))
                return false;
        if (!ops->irreversible || (!begun && !ops->takes_power))
                return true;
        return ops->verify(e->plan->steps[n].args, &e->run) == STEP_NOT_APPLIED;
}

/* Where there is no way back, a record that says no more than what the kernel shows keeps nobody from what is left: what the light rests on is noted by
 * the steps themselves. */
static int record_done(Engine *e, size_t n, const char *text, uint64_t start) {
        int r = engine_record(e, n, PHASE_DONE, text, now_monotonic() - start);

        return step_ops(e->plan->steps[n].type)->irreversible ? 0 : r;
}

static int step_do(Engine *e, size_t n, int before, bool begun) {
        const Step *step = &e->plan->steps[n];
        const StepOps *ops = step_ops(step->type);

        int r = card_check(e, step, before);
        if (r >= 0 && ops->check && before != STEP_APPLIED)
                r = ops->check(step->args, &e->run);
        if (r < 0)
                return r;

        r = engine_record(e, n, PHASE_DO, NULL, 0);
        if (r < 0)
                return r;
        uint64_t start = now_monotonic();
        if (!ops->urgent)
                drill_pause(e, "before", step->type);
        if (is_cancelled_before(e, n, begun))
                return step_fail(&e->run, -ECANCELED, "cancelled");

        /* The card may have been changed while we paused or the daemon was away. */
        r = card_check(e, step, before);
        if (r < 0)
                return r;
        e->touched_tail = e->touched_tail || ops->irreversible;
        bool by_others = ops->takes_power && ops->verify(step->args, &e->run) == STEP_APPLIED;
        if (by_others)
                (void) engine_note_rival(e, n, "it was done by somebody else");
        else if (ops->takes_power)
                engine_watch(e, n);
        r = ops->apply(step->args, &e->run);
        record_lost(e);
        bool behind = engine_left_behind(e, NULL, r);
        drill_pause(e, "after", step->type);
        if (behind)
                return r < 0 ? r : engine_fail_under_way(e);

        /* Whatever the write returned: what the kernel shows counts. */
        int state = ops->verify(step->args, &e->run);
        if (r < 0 && state == STEP_APPLIED)
                r = 0;
        if (r >= 0 && state < 0)
                return state;
        if (r < 0)
                return r;
        e->run.not_kept = state != STEP_APPLIED;
        if (e->run.not_kept)
                return step_fail(&e->run, -EIO, "%s",
                                 e->run.why ?: "the kernel accepted every write, but what was asked for has not happened");
        return record_done(e, n, by_others ? "done by somebody else" : NULL, start);
}

static int step_forward(Engine *e, size_t n) {
        const StepOps *ops = step_ops(e->plan->steps[n].type);
        bool begun = e->journal->last_do != SIZE_MAX && n <= e->journal->last_do;

        if (is_cancelled_before(e, n, begun))
                return step_fail(&e->run, -ECANCELED, "cancelled");
        if (n >= plan_first_irreversible(e->plan) && !e->told_finishing) {
                e->told_finishing = true;
                engine_tell_state(e, "finishing");
        }

        uint64_t start = now_monotonic();
        int state = ops->verify(e->plan->steps[n].args, &e->run);
        if (state < 0)
                return state;
        /* Power that somebody else has switched off goes on record as begun: there is no way back from it. */
        e->touched_tail = e->touched_tail || (ops->irreversible && state == STEP_APPLIED);
        if (state != STEP_APPLIED || (ops->takes_power && !begun))
                return step_do(e, n, state, begun);

        /* Done already, by a worker that died before it could say so; or there was nothing to change. A proof is neither: it
         * has just been made. */
        const char *text = begun ? "done before" : ops->irreversible ? NULL : "nothing to do";
        return record_done(e, n, text, start);
}

/* What the steps before `first` had in the process of the worker that died. Nothing is written down about it: the record has them as
 * done, and whoever goes on next does the same. */
static int retake(Engine *e, size_t first) {
        size_t power = 0;

        /* Once the power goes there is nothing left to have, and whoever switches it on again wants nothing of it. */
        while (power < e->plan->n_steps && !step_ops(e->plan->steps[power].type)->takes_power)
                power++;
        if (first > power && e->plan->steps[first].type == STEP_POWER_ON)
                return 0;
        if (first >= power && power < e->plan->n_steps &&
            step_ops(e->plan->steps[power].type)->verify(e->plan->steps[power].args, &e->run) != STEP_NOT_APPLIED)
                return 0;
        for (size_t n = 0; n < first; n++) {
                const Step *step = &e->plan->steps[n];
                const StepOps *ops = step_ops(step->type);
                if (!ops->in_process)
                        continue;
                engine_turn_to(e, n);
                e->failed_step = n;
                int r = engine_identity_check(e, ops, STEP_NOT_APPLIED);
                if (r >= 0)
                        r = ops->apply(step->args, &e->run);
                if (engine_left_behind(e, NULL, r) && r >= 0)
                        r = engine_fail_under_way(e);
                if (r < 0)
                        return r;
        }
        return 0;
}

int engine_forward(Engine *e) {
        /* Whoever goes on where another stopped begins with the last step that was begun: all before it were done. */
        size_t first = e->resumed && e->journal->last_do != SIZE_MAX ? e->journal->last_do : 0;

        engine_tell_state(e, "working");
        int q = retake(e, first);
        if (q < 0) {
                engine_record_failed(e, e->failed_step);
                return q;
        }
        for (size_t n = first; n < (e->end > 0 ? e->end : e->plan->n_steps); n++) {
                engine_turn_to(e, n);
                int r = engine_gate(e, n);
                if (r >= 0)
                        r = step_forward(e, n);
                if (r >= 0)
                        continue;
                e->failed_step = n;
                int again = engine_again(e, n, r);
                if (again > 0) {
                        n--;
                        continue;
                }
                engine_tell_rival(e);
                engine_record_failed(e, n);
                return again < 0 ? again : r;
        }
        return 0;
}

bool engine_can_go_back(const Engine *e) {
        size_t tail = plan_first_irreversible(e->plan);
        StepRun look = { .limits = e->run.limits, .notes = journal_notes(e->journal, tail) };

        if (plan_is_finish(e->plan))
                return false;
        if (!e->touched_tail)
                return true;
        if (e->failed_step != tail)
                return false;

        /* A write that was left behind, by us or by a worker that died, may take effect at any time. */
        if (e->left_behind || e->resumed)
                return false;

        /* The first of them failed: if the kernel shows no trace of it, nothing irreversible has happened. */
        int state = step_ops(e->plan->steps[tail].type)->verify(e->plan->steps[tail].args, &look);
        step_run_done(&look);
        return state == STEP_NOT_APPLIED;
}

int engine_revert(Engine *e, size_t n) {
        const StepType type = e->plan->steps[n].type;
        const StepOps *ops = step_ops(type);
        _cleanup_json_ json_object *writer = json_ref(journal_writer(e->journal));
        int r = 0, state = STEP_PARTLY_APPLIED;
        bool behind = false;

        /* Twice: somebody may touch the same thing in the same moment, a press of the button that is given back for one. */
        drill_pause(e, "before", type);
        for (unsigned tries = 0; tries < 2 && state != STEP_NOT_APPLIED && !behind; tries++) {
                r = ops->revert(e->args, &e->run);
                record_lost(e);
                behind = engine_left_behind(e, writer, r);
                drill_pause(e, "after", type);
                state = behind ? STEP_PARTLY_APPLIED : ops->verify(e->args, &e->run);
        }
        if (behind)
                return engine_fail_under_way(e);
        if (state == STEP_NOT_APPLIED)
                return 0;
        if (r < 0)
                return r;
        return state < 0 ? state : step_fail(&e->run, -EIO, "%s", e->run.why ?: "it is not as it was before");
}

static int step_undo(Engine *e, size_t n) {
        const Step *step = &e->plan->steps[n];
        const StepOps *ops = step_ops(step->type);

        if (ops->irreversible || !ops->revert)
                return 0;
        /* With a write still under way nothing of the card may come back into use. Nor does it say anything that the kernel shows nothing of
         * it: it may yet. */
        if (!engine_goes_back_meanwhile(e, ops))
                return engine_fail_under_way(e);
        /* What a step noted may be something that nobody can see (a process that is gone): it is asked in any case. */
        if (!e->run.notes && ops->verify(step->args, &e->run) == STEP_NOT_APPLIED)
                return (void) engine_record(e, n, PHASE_UNDONE, "as it was", 0), 0;

        int r = time_has_ended() ? step_fail(&e->run, -ETIME, "there was no time left for it") : engine_identity_check(e, ops, STEP_APPLIED);
        if (r < 0)
                return r;

        /* A journal that cannot be written any more must not keep a slot held: going back is right without a promise. */
        (void) engine_record(e, n, PHASE_UNDO, NULL, 0);
        uint64_t start = now_monotonic();
        r = engine_revert(e, n);
        if (r >= 0)
                (void) engine_record(e, n, PHASE_UNDONE, NULL, now_monotonic() - start);
        return r;
}

/* Not those that follow from the first: they have no line of their own. */
static void more_failed(Engine *e, const char *name) {
        if (!e->run.remedy || streq_ptr(e->run.remedy, e->stuck_remedy) || json_len(e->more_remedies) >= REMEDIES_MAX || json_has_string(e->more_remedies, e->run.remedy))
                return;
        e->more_remedies = e->more_remedies ?: json_object_new_array();
        json_append_str(e->more_remedies, e->run.remedy);
        (void) text_add(&e->stuck_why, "; ", "nor could step %s: %s", name, e->run.why ?: "no reason given");
}

static void undo_failed(Engine *e, size_t n) {
        const char *name = step_type_to_string(e->plan->steps[n].type);

        engine_record_failed(e, n);
        /* A line that a step has for a card that is there is none for one that is not. */
        if (e->n_not_undone == 0 && step_ops(e->plan->steps[n].type)->needs_card && !e->left_behind)
                remedy_for_card(e, NULL);
        if (e->n_not_undone++ > 0) {
                more_failed(e, name);
                return;
        }
        e->stuck_why = strf("step %s could not be undone: %s", name, e->run.why ?: "no reason given");
        e->stuck_remedy = TAKE_PTR(e->run.remedy);
}

int engine_back(Engine *e, const char *code, const char *why) {
        engine_tell_state(e, "restoring");
        e->run.ignore_cancel = true;
        e->run.backwards = true;
        if (!e->journal->backwards)
                (void) journal_back(e->journal, code, why);
        e->left_behind = e->left_behind || journal_writer(e->journal);

        /* A step that was begun counts, and so does one that was found done. */
        size_t last = e->journal->last_do == SIZE_MAX ? 0 : e->journal->last_do + 1;
        size_t reached = e->failed_step + 1 > last ? e->failed_step + 1 : last;
        if (reached > e->plan->n_steps)
                reached = e->plan->n_steps;

        for (size_t n = reached; n > 0; n--) {
                engine_turn_to(e, n - 1);
                if (step_undo(e, n - 1) < 0)
                        undo_failed(e, n - 1);
        }
        if (e->n_not_undone > 0 && e->left_behind)
                engine_tell_standing(e);
        return e->n_not_undone > 0 ? -EIO : 0;
}
