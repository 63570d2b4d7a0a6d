/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/util.h"

/* Has the XFS on a block device ("pmem0") a reverse map? With it the kernel finds who has mapped a page of its memory
 * (fs/xfs/xfs_notify_failure.c). Read from the medium: it is decided when the file system is made. 1 or 0; -EBADMSG: no XFS. */
int xfs_has_reverse_map(const char *block);

/* The same in the first bytes of the device. */
int xfs_super_has_reverse_map(const unsigned char *super, size_t size);
