/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "kernel/mounts/mounts.h"

/* What ends a file system that is mounted: afterwards every call gets EIO, nothing is written any more, and whoever hangs in it comes
 * back. Only an unmount and a new mount bring it back. It takes no descriptor from anybody. (FS_IOC_SHUTDOWN; linux/fs.h has the names
 * since 7.x only.) */
typedef enum FsShutdown {
        FS_SHUTDOWN_NO = -1,
        FS_SHUTDOWN_FLUSH = 0,          /* all data and the log are written first */
        FS_SHUTDOWN_NO_FLUSH = 2,       /* as if power were cut: for media that is gone */
} FsShutdown;

/* "no", "flush", "noflush"; NULL and others: no. */
FsShutdown fs_shutdown_from_string(const char *word);

/* Has the kernel this for a file system of the type? From a table: trying would be doing. release: as uname says it; NULL: of the
 * running kernel. 0, or -EOPNOTSUPP with *ret_why for a person. */
int fs_shutdown_check(const char *type, const char *release, char **ret_why);

/* Writes back what the file system has in memory (but for NO_FLUSH), through one of its mounts as mounts_find() gave it; then shuts it
 * down when asked to, lets those go on who hang because somebody has frozen it, and sees to it that it is shut down (XFS returns 0 also
 * when nothing happened, fs/xfs/xfs_fsops.c:xfs_fs_goingdown). One that is shut down already is left so. 0; -ENOTTY: this kernel has it
 * not; -ESTALE or -ENOENT: that mount is gone; -EINPROGRESS: left behind, it may still come to its end; or another errno. *ret_why for a
 * person. */
int fs_quiesce(const MountedFs *fs, json_object *mount, FsShutdown shutdown, uint64_t timeout_usec, char **ret_why);

/* Is it shut down, by whomever? 1, or 0: it takes new files. Of one that is mounted read-only 0 as well, but for XFS. Otherwise as above. */
int fs_is_shut_down(const MountedFs *fs, json_object *mount, uint64_t timeout_usec);

/* Is what the device stands on gone for good: no such device any more, or all that it is made of, or where that is nothing one of no size
 * (block/genhd.c:__blk_mark_disk_dead)? */
bool fs_media_gone(dev_t dev);

/* Does somebody hold up what is written to the device, or to one that it stands on (dm or md, suspended)? Newly allocated: what goes on
 * when *ret_remedy was pasted; NULL: nobody. */
char *fs_held_up_by(dev_t dev, char **ret_remedy);
