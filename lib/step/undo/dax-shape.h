/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "step/step.h"

/* The dax devices of a CXL region as somebody has made them, where that is not what the kernel makes by itself: one device with all of the
 * region, for kmem. They go with the region's driver, and the kernel forgets them. A plan has them as
 *      [{"id": K of daxN.K, "driver", "ranges": [{"start", "size"}], "align", "memmap_on_memory"}]     the last two where they are not the region's
 * Ranges are in the order of the device. */

/* Does the region (by the name that it has now) have exactly these? 1 or 0, or a negative errno: that cannot be seen. */
int dax_shape_fits(json_object *daxes, const char *region);

/* Makes them of what the region has once its driver is bound. Each has the number within its region that it had. Only what nobody uses is taken
 * apart: unbound, or kmem's with no block online. Those with a driver are left without one, or with kmem; who took it off binds it again. What
 * the kernel does not let us set is told as lost. 0 or a negative errno with the reason noted. */
int dax_shape_make(json_object *daxes, const char *region, StepRun *run);

/* What a device has, one range or several: 0 when no memory block of it is online. `ranges` as above, or NULL: start and size are all. */
int dax_offline_check(StepRun *run, json_object *ranges, uint64_t start, uint64_t size, const char *of);
