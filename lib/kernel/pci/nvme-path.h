/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/util.h"

/* The hidden disks that lead to a namespace which more than one controller could lead to (drivers/nvme/host/multipath.c). */

/* "nvme0c1n2" is the path over controller 1 to what "nvme0n2" shows (nvme_mpath_set_disk_name). The latter, newly allocated; NULL: it is
 * no path (or out of memory). */
char *nvme_path_head(const char *name);

/* Why the kernel sends nothing over that path, newly allocated: its controller is not live, or its group says that it is not to be used
 * (nvme_path_is_disabled). NULL: it serves. 0 or -ENOMEM; what cannot be read is a reason. */
int nvme_path_trouble(const char *name, char **ret);
