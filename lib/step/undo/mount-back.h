/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "step/step.h"

/* The way back of the step unmount: its mounts again, in each namespace that still exists, the host's first. */

/* STEP_NOT_APPLIED: all that can be there is there. */
int mounts_back_verify(json_object *args, StepRun *run);

/* Mounts what is missing. Goes on after one that fails, and returns the first error, with its reason and remedy noted. What comes back
 * with other options than it had is told as lost, and so is what does not come back in a namespace that anybody may have made: no error of these
 * is one of the way back, and they have 20 s for all of them, shared among the users. */
int mounts_back(json_object *args, StepRun *run);
