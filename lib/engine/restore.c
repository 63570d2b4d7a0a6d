/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Runs a restoration: the steps of a removal, each reverted. Its plan has them in that order, so
 * "do n" here means: put back what step n took down. */
#include <errno.h>

#include "base/clock.h"
#include "engine/engine.h"

static bool is_frame(const Engine *e, size_t n) {
        return e->plan->steps[n].frame;
}

/* A region that was made anew by one of the steps may stand elsewhere from then on. */
static void turn_to(Engine *e, size_t n) {
        RegionMoves moves;

        if (region_moves_find(e->plan->steps, e->plan->n_steps, false, &moves) >= 0) {
                region_moves_done(&e->moves);
                e->moves = moves;
        }
        engine_turn_to(e, n);
        e->run.moves = &e->moves;
        e->run.ignore_cancel = true; /* a step is put back as a whole */
        e->run.backwards = e->run.restoring = true;
}

/* What the removal noted when it took the step; the restoration's own notes come after. */
static void notes_inherit(Engine *e) {
        for (size_t n = 0; n < e->plan->n_steps && !e->inherited; n++)
                journal_notes_inherit(e->journal, n, e->plan->steps[n].notes);
        e->inherited = true;
}

/* Not knowing is yes. */
static bool is_left(Engine *e, size_t n) {
        turn_to(e, n);
        return step_ops(e->plan->steps[n].type)->verify(e->args, &e->run) != STEP_NOT_APPLIED;
}

bool engine_restore_needed(Engine *e) {
        notes_inherit(e);
        for (size_t n = 0; n < e->plan->n_steps; n++)
                if (!is_frame(e, n) && is_left(e, n))
                        return true;
        return false;
}

static int step_put_back(Engine *e, size_t n) {
        const StepOps *ops = step_ops(e->plan->steps[n].type);
        uint64_t start = now_monotonic();

        /* As on a way back: what was noted may be something that nobody can see. */
        if (!e->run.notes && ops->verify(e->args, &e->run) == STEP_NOT_APPLIED) {
                bool ours = e->journal->last_do != SIZE_MAX && n <= e->journal->last_do;
                return engine_record(e, n, PHASE_DONE, ours ? "done before" : "nothing to do", 0);
        }
        int r = engine_identity_check(e, ops, STEP_APPLIED);
        if (r >= 0)
                r = engine_record(e, n, PHASE_DO, NULL, 0);
        if (r >= 0)
                r = engine_revert(e, n);
        return r < 0 ? r : engine_record(e, n, PHASE_DONE, NULL, now_monotonic() - start);
}

/* The frame is closed whatever happens, also with a journal that cannot be written any more: a slot must not stay held. */
static void close_frame(Engine *e, size_t n) {
        if (!is_left(e, n))
                return;
        (void) engine_record(e, n, PHASE_DO, NULL, 0);
        uint64_t start = now_monotonic();
        if (engine_revert(e, n) < 0)
                engine_record_failed(e, n);
        else
                (void) engine_record(e, n, PHASE_DONE, NULL, now_monotonic() - start);
}

static void tell_not_taken(Engine *e, size_t n) {
        StepType type = e->plan->steps[n].type;
        _cleanup_free_ char *forward = NULL, *back = NULL;

        if (!is_left(e, n))
                return;
        step_ops(type)->describe(e->args, &forward, &back);
        _cleanup_json_ json_object *texts = json_object_new_array();
        json_append_strf(texts, "%s (%s)", step_type_to_string(type), back ?: "no description");
        (void) journal_lost(e->journal, n, texts);
}

/* Once, before anything else is done, so that another worker does not go on where this one has stopped. */
static void stop_at(Engine *e, size_t n, int error) {
        const char *name = step_type_to_string(e->plan->steps[n].type);

        e->failed_step = n;
        if (error == -ECANCELED)
                e->stuck_why = strdup(e->run.why ?: "cancelled");
        else {
                engine_record_failed(e, n);
                e->stuck_why = strf("step %s: %s", name, e->run.why ?: strerror(-error));
        }
        e->stuck_remedy = TAKE_PTR(e->run.remedy);
        (void) journal_back(e->journal, error == -ECANCELED ? "cancelled" : "failed", e->stuck_why);
}

/* Is step n one that opens the frame (it stands before everything else), or one that closes it? */
static bool opens_frame(const Engine *e, size_t n) {
        for (size_t i = 0; i < n; i++)
                if (!is_frame(e, i))
                        return false;
        return true;
}

static int step_next(Engine *e, size_t n) {
        e->run.ignore_cancel = false;
        bool cancelled = !is_frame(e, n) && step_cancelled(&e->run);

        turn_to(e, n);
        return cancelled ? step_fail(&e->run, -ECANCELED, "cancelled before step %s",
                                     step_type_to_string(e->plan->steps[n].type)) : step_put_back(e, n);
}

int engine_restore(Engine *e) {
        size_t first = e->resumed && e->journal->last_do != SIZE_MAX ? e->journal->last_do : 0;
        int error = 0;

        engine_tell_state(e, "working");
        notes_inherit(e);
        if (e->journal->backwards) {
                error = streq_ptr(e->journal->back_code, "cancelled") ? -ECANCELED : -EIO;
                e->stuck_why = strdup(e->journal->back_why ?: "no reason on record");
        }
        size_t stopped = first;
        for (size_t n = first; n < e->plan->n_steps; n++) {
                if (error == 0) {
                        error = step_next(e, n);
                        if (error < 0) {
                                stop_at(e, n, error);
                                stopped = n;
                        }
                }
                if (error < 0 && is_frame(e, n) && !opens_frame(e, n))
                        close_frame(e, n);
        }

        /* After the frame: a step may wait a while for a device that does not come, and the slot is held until then. */
        for (size_t n = stopped; error < 0 && n < e->plan->n_steps; n++)
                if (!is_frame(e, n))
                        tell_not_taken(e, n);
        return error;
}
