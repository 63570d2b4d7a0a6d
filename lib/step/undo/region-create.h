/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "step/step.h"

/* Creates a region as a plan wrote it down (see kernel/cxl/cxl-region.h): decoders reserved, interleave, size, targets; not yet
 * committed. Idempotent: goes on where somebody stopped. -ENOTUNIQ when the kernel gave it other addresses, unless a restoration takes them
 * (region-moves.h). */
int region_create(json_object *region, StepRun *run);

/* Deletes the region over the planned targets, or one that was begun for them, and frees the device memory of its decoders.
 * Idempotent. */
int region_remove(json_object *region, StepRun *run);
