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

/* Reverts step n until the kernel shows nothing of it, twice at most; what was lost is written down. */
int engine_revert(Engine *e, size_t n);
