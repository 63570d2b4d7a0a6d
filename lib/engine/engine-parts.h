/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "engine/engine.h"

/* What running a removal and running a restoration have in common. */

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

/* behind.c. Has what a step was just called for, with this result, left a write behind that was not under way before? (writer: the last of those
 * that were, or NULL.) Then e->left_behind is set. */
bool engine_left_behind(Engine *e, json_object *writer, int result);

/* -EINPROGRESS, with who writes still and what to do about it noted. */
int engine_fail_under_way(Engine *e);

/* Whether a step is put back with that. */
bool engine_goes_back_meanwhile(const Engine *e, const StepOps *ops);

/* Adds to the reason and the remedy of an ending whoever stands still until that is over. */
void engine_tell_standing(Engine *e);
