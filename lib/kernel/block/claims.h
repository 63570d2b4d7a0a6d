/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/types.h>

#include "base/util.h"

/* Block devices that this process has for itself alone: open exclusively, and kept so. The kernel gives one to nobody else then: no
 * mount, no swap, no dm, md, ZFS or LIO (block/bdev.c:bd_prepare_to_claim). The claim is the open file's, so another exclusive
 * open of the same process is refused as well, and it ends with the process. A disk and its partitions exclude each other. The
 * descriptors read only: closing them makes udev look at nothing anew. */

/* 0: it is ours now, or was already. -EBUSY: somebody else has it; -ENODEV: it is gone; -ESTALE: what has its node's name is another
 * device; -EINPROGRESS: the kernel did not answer in time. The node in /dev is the one that the kernel names, and is looked at
 * before it is opened. */
int claim_take(dev_t dev, uint64_t timeout_usec);

bool claim_is_held(dev_t dev);

/* Closes it; one that is not ours is none of ours. */
void claim_give(dev_t dev);

/* Closes those whose device is gone: an open file keeps its number from the one that comes next. */
void claims_sweep(void);

/* Was it ours until it was gone? Then nobody had a super block, swap or another device on it. In this process's memory alone. */
bool claim_lasted(dev_t dev);

/* Does anybody else have it for himself alone: a mounted file system (detached mounts that nobody sees included), swap, dm, md, a
 * program that opened it so? 1, 0, or a negative errno; -EINPROGRESS when the kernel did not say in time. No device: 0, as for one that
 * this process has itself (claims.h). */
int blockdev_claimed(dev_t dev, uint64_t timeout_usec);
