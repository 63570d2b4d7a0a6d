/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/types.h>

#include "base/util.h"

/* The kernel's name of a block device: "pmem0", "nvme0n1p1", "dm-0". -ENODEV without it. */
int blockdev_name(dev_t dev, char **ret);

/* Its number by name, or through a path like /dev/disk/by-uuid/X. -ENODEV, -ENOTBLK. */
int blockdev_number(const char *name, dev_t *ret);
int blockdev_number_of_path(const char *path, dev_t *ret);

/* The node that the kernel names for it: "/dev/nvme0n1p1". -ENODEV without the device. */
int blockdev_node(dev_t dev, char **ret);

/* Is there a super block of the type on it still? The kernel has a folder in /sys/fs for each that xfs, ext4, f2fs know. */
bool superblock_exists(const char *type, const char *name);

/* The UUID of what is on it, as udev has noted it of this very device (a link in /dev/disk/by-uuid leads to one of all that have the same, and
 * anybody at the console may set up another), with its escapes: newly allocated, or NULL. */
int blockdev_fs_uuid(dev_t dev, char **ret);

/* Anything that udev has noted of it ("ID_FS_TYPE"): newly allocated, or NULL. */
int blockdev_noted(dev_t dev, const char *key, char **ret);

/* When its disk came, of all that came since the machine was started (block/genhd.c: disk->diskseq): each has a number of its own, larger than
 * those before. 0: a kernel before 5.15 does not say. */
uint64_t blockdev_sequence(dev_t dev);

/* What stands on it: a comma-separated list of the names in its holders folder, NULL for nothing. */
char *blockdev_holders(const char *name);
