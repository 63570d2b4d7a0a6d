/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "step/step.h"

/* The way back of the step unmount: its mounts again, in each namespace that still exists, the host's first. */

/* STEP_NOT_APPLIED: all that can be there is there. */
int mounts_back_verify(json_object *args, StepRun *run);

/* Mounts what is missing. Goes on behind one that fails, and returns the first error, with its reason and remedy noted. What comes back
 * with other options than it had is told as lost. */
int mounts_back(json_object *args, StepRun *run);
