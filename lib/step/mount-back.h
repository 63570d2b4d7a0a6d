/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/types.h>

#include "step/step.h"

/* The way back of the step unmount: its mounts again, in each namespace that still exists, the host's first. */

/* Notes what tells the file system from others once its device has another name. dev 0: it has none. */
int mounts_back_note(json_object *args, dev_t dev, StepRun *run);

/* STEP_NOT_APPLIED: all that can be there is there. */
int mounts_back_verify(json_object *args, StepRun *run);

int mounts_back(json_object *args, StepRun *run);
