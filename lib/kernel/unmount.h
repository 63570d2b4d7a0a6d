/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "kernel/mounts.h"

/* What ends a file system that is mounted (FS_IOC_SHUTDOWN; linux/fs.h has the names since 7.x only). */
typedef enum FsShutdown {
        FS_SHUTDOWN_NO = -1,
        FS_SHUTDOWN_FLUSH = 0,          /* all data and the log are written first */
        FS_SHUTDOWN_NO_FLUSH = 2,       /* as if power were cut: for media that is gone */
} FsShutdown;

/* Writes back what the file system has in memory, through one of its mounts as mounts_find() gave it; then shuts it down when
 * asked to, and sees to it that it is (XFS returns 0 also when nothing happened, fs/xfs/xfs_fsops.c:xfs_fs_goingdown). 0,
 * -EINPROGRESS, or another errno with *ret_why. */
int fs_quiesce(json_object *mount, FsShutdown shutdown, uint64_t timeout_usec, char **ret_why);

/* Takes away all mounts of it in all mount namespaces that are not busy, the ones made last first. 0 whatever is left: ask
 * mounts_find(). *ret_left: [{"ns", "pid", "target", "error", "why"}], what the kernel said about each that it did not take. */
int fs_unmount(const MountedFs *fs, uint64_t timeout_usec, json_object **ret_left);
