/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "holders/holder.h"

/* Adds the character devices through which a PCI function is handed to a process: of VFIO its own one (/dev/vfio/devices/vfioN)
 * and that of its IOMMU group (/dev/vfio/GROUP, which may have other functions too), of UIO /dev/uioN. None when no such
 * driver has it. -EINVAL when `bdf` is no address. */
int hold_targets_add_function(HoldTargets *t, const char *bdf);
