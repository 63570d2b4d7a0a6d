/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/types.h>

#include "base/util.h"

/* What the kernel knows of a file by itself, where its file system answers no stat(). XFS does not once it is shut down
 * (fs/xfs/xfs_iops.c:xfs_vn_getattr); a FUSE of somebody's own answers nobody else, root neither, but says which it is to who asks for
 * nothing more (fs/fuse/dir.c:fuse_getattr). */
typedef struct DeadFile {
        dev_t dev;              /* its file system, or 0: only the mount tells */
        uint64_t mount_id;      /* that it was opened through, as in mountinfo */
        bool special;           /* it is, or may be, the node of a device: no plain file and no folder */
} DeadFile;

/* Is it what such a file system says? */
bool file_is_dead(int error);

/* at, name: a link of /proc/PID, followed. Asks the file system nothing that it would not refuse at once. 0 or a negative errno. */
int dead_file_look(int at, const char *name, DeadFile *ret);
