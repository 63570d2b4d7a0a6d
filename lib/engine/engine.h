/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/strtab.h"
#include "engine/journal.h"
#include "step/step.h"
#include "step/undo/region-moves.h"

/* Runs a plan and knows no device type. Forward: each step is recorded, applied, verified, and recorded as done.
 * If a step fails or the removal is cancelled, that is recorded once, and the steps are undone, beginning with the last that may have touched
 * anything. After the first step that cannot be undone the removal goes forward, or is stuck. */

typedef enum Outcome {
        OUTCOME_SAFE,
        OUTCOME_RESTORED,
        OUTCOME_REFUSED,
        OUTCOME_NOTHING,
        OUTCOME_STUCK,
        OUTCOME_INTERRUPTED,
        OUTCOME_RELEASED,       /* a removal's: nothing uses it any more, and there is no slot to power off */
        OUTCOME_TESTED,         /* a self-test's: all of it could be taken down, and is as it was before; or has its power back and waits to be put back */
        OUTCOME_REBUILT,        /* a restoration's: what the removal took down is there again */
        OUTCOME_INCOMPLETE,     /* a restoration's: stopped in the middle */
        _OUTCOME_MAX,
        _OUTCOME_INVALID = -EINVAL,
} Outcome;

DECLARE_STRING_TABLE(outcome, Outcome);

typedef enum StepPhase {
        PHASE_DO,
        PHASE_DONE,
        PHASE_UNDO,
        PHASE_UNDONE,
        PHASE_FAILED,
        _STEP_PHASE_MAX,
        _STEP_PHASE_INVALID = -EINVAL,
} StepPhase;

DECLARE_STRING_TABLE(step_phase, StepPhase); /* "do", "done", "undo", "undone", "failed": also the journal's words */

/* Where events go. None of them may fail: a lost listener does not stop a removal. */
typedef struct EngineListener {
        void (*step)(void *userdata, size_t n, StepPhase phase, const char *text, uint64_t usec);
        void (*state)(void *userdata, const char *state); /* "working", "finishing", "restoring" */
        void *userdata;
} EngineListener;

typedef struct Engine {
        Plan *plan;             /* borrowed */
        Journal *journal;       /* borrowed */
        StepRun run;
        EngineListener listener;

        /* Of a give-back (monotonic; 0: it has its time): when it has to be through with the steps, and with the slots. */
        uint64_t until, until_slots;
        RegionMoves moves;      /* a restoration's: which regions stand elsewhere now than planned */
        json_object *args;      /* of the step that is being dealt with, with the addresses of now; owned */
        size_t step;            /* the one that is being dealt with: its notes go there */
        bool inherited;         /* a restoration's steps have their removal's notes */
        bool resumed;           /* another worker began: go on from its last step */
        size_t failed_step;     /* of a forward run that failed */
        size_t end;             /* a forward run leaves out the steps from here on; 0: none */
        bool left_behind;       /* a write, of whichever way, is still in the kernel and may yet take effect */
        bool told_finishing;
        bool touched_tail;      /* a step that cannot be undone may have done something */

        /* meanwhile/rivals.c: somebody else who undoes what was done. */
        unsigned n_again;       /* how often something was done once more */
        uint64_t again_until;   /* monotonic */
        struct WriteWatch *watch;
        char *rival;            /* who it is, in words; NULL: not known */
        bool interfered;        /* the forward run has given way to him */

        size_t n_not_undone;    /* after engine_back() */
        char *stuck_why;        /* the first step that could not be undone, and what to do; and those after it which have a line of their own */
        char *stuck_remedy;
        json_object *more_remedies; /* array of the others' lines; NULL: none */
} Engine;

void engine_done(Engine *e);

/* Runs all steps that are not applied yet. 0, or the negative errno of the first step that failed (-ECANCELED when
 * cancelled), the reason in e->run.why. */
int engine_forward(Engine *e);

/* Whether a failed forward run may still go back. */
bool engine_can_go_back(const Engine *e);

/* Writes the turn down and reverts from the last touched step; goes on past one that fails, so that the slot is given
 * back whatever else is lost. 0, or -EIO when n_not_undone > 0. */
int engine_back(Engine *e, const char *code, const char *why);

/* restore.c. Takes the plan of a restoration (docs/PROTOCOL.md): each of its steps is reverted, in the plan's order, unless the
 * kernel shows nothing of it any more; "do" and "done" are written down for it. After one that fails, or once somebody has
 * cancelled, only the steps that the plan calls its frame are taken: the slot is given back and the machine's policy is as it
 * was. What was not taken is told as lost. 0, or the negative errno of the first step that failed (-ECANCELED when cancelled),
 * the reason in e->stuck_why, what to do in e->stuck_remedy. */
int engine_restore(Engine *e);

/* Whether the kernel shows anything left to be put back, the frame aside. Not knowing is yes. */
bool engine_restore_needed(Engine *e);

/* What running a removal (engine.c), running a restoration (restore.c) and resuming either have in common. */

/* Written down first, told second. What cannot be written down is not done. */
int engine_record(Engine *e, size_t n, StepPhase phase, const char *text, uint64_t usec);

/* The same for a failure with its reason in e->run.why, which is told even where it cannot be written down. */
void engine_record_failed(Engine *e, size_t n);

/* From here on it is about step n. */
void engine_turn_to(Engine *e, size_t n);

/* "working", "finishing", "restoring": for whoever listens. */
void engine_tell_state(Engine *e, const char *state);

/* Is it still the plan's card, where the step cares? `state`: the StepState before it. */
int engine_identity_check(Engine *e, const StepOps *ops, int state);

/* Reverts step n until the kernel shows nothing of it, twice at most, once where a write of it is left behind; what was lost is written down. */
int engine_revert(Engine *e, size_t n);

/* engine/meanwhile/rivals.c. What the steps before n did and somebody else has undone while step n failed with `error`, or did not come about, is done once more,
 * a few times in a removal and not for long. 1: step n may be tried again. 0: it is not for that that it failed, and its reason stays. Or a negative errno with
 * the reason, and a remedy, noted: then it goes on for ever (e->interfered), or was called off. */
int engine_again(Engine *e, size_t n, int error);

/* Before step n: are the slots that the removal holds held still? -EBUSY with the reason noted. */
int engine_gate(Engine *e, size_t n);

/* From here on whoever undoes step n can be named, where the kernel tells. After a failure where there is no way back he is added to its reason. */
void engine_watch(Engine *e, size_t n);
void engine_tell_rival(Engine *e);

/* Writes down what somebody else did about step n, which has to be begun, for the ending: "was done by somebody else". */
int engine_note_rival(Engine *e, size_t n, const char *what);

/* engine/meanwhile/late-write.c. Has what a step was just called for, with this result, left a write behind that was not under way before? (writer: the
 * last of those that were, or NULL.) Then e->left_behind is set. */
bool engine_left_behind(Engine *e, json_object *writer, int result);

/* -EINPROGRESS, with who writes still and what to do about it noted. */
int engine_fail_under_way(Engine *e);

/* Was a mapping taken by force (step/evict/take-mappings.h)? By what is on record. */
bool engine_has_taken(const Engine *e);

/* Whether a step is put back with that. */
bool engine_goes_back_meanwhile(const Engine *e, const StepOps *ops);

/* Adds to the reason and the remedy of an ending whoever stands still until that is over. */
void engine_tell_standing(Engine *e);
