/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/json.h"

/* What in the kernel refers to a block device by its name: block devices that stand on it, super blocks, journals, swap, mounts, and the
 * volumes and arrays that it is a member of. (What the kernel uses without any of these: kernel-users.h.) A reference outlives the device:
 * the link leads nowhere then, the name is nobody's. */
typedef struct BlockRef {
        char *who;              /* for a person: "md0 has it as a member" */
        char *device;           /* its name in sysfs, as far as it is known: "nvme0n1p2" */
        char *volume;           /* of a member: the folder that the volume has while it is in use; else NULL */
        bool chosen;            /* the kernel did not say; the name is from a path in a mount namespace of anybody's, with perhaps another /dev */
        char *place;            /* its line of ancestors, as the link in sysfs has it; NULL: there is no such device */
} BlockRef;

typedef struct BlockRefs {
        BlockRef *items;
        size_t n_items, n_allocated;
} BlockRefs;

void block_refs_done(BlockRefs *l);

#define _cleanup_block_refs_ _cleanup_(block_refs_done)

/* Adds all that sysfs and /proc tell of the whole machine. Reads attributes only, opens no device; what is not there (a module
 * that is not loaded) refers to nothing. A device that is gone is looked for twice: what went with whatever referred to it is no reference.
 * A negative errno where it cannot be found out. */
int block_refs_load(BlockRefs *l);

/* Adds the mounts of file systems on devices, of every namespace, one mount for each device that a file system is on. For whoever has the
 * time: the namespaces are entered one by one, in a process of its own, and once more where a device is gone. -ETIME or -EINPROGRESS when that
 * took longer than allowed, which counts for each time.
 * all: as with mounts_find_all() (kernel/mounts/mounts.h). */
int block_refs_load_mounts(BlockRefs *l, bool all, uint64_t timeout_usec);
