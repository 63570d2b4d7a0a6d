/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/types.h>

#include "base/util.h"

/* A line of /proc/PID/mountinfo, the kernel's escapes undone. */
typedef struct MountEntry {
        uint64_t id, parent_id;
        dev_t dev;              /* of the super block; btrfs shows another st_dev for each subvolume */
        char *root;             /* which part of the file system */
        char *target;           /* where, seen from the reader's root */
        char *options;          /* of this mount: "rw,relatime" */
        char *propagation;      /* "shared:1 master:2", "" for private */
        char *type, *source, *super_options;
} MountEntry;

typedef struct MountEntries {
        MountEntry *items;      /* in the order of the file: a mount comes after what it stands on unless it was moved */
        size_t n_items, n_allocated;
} MountEntries;

void mount_entries_done(MountEntries *l);

#define _cleanup_mount_entries_ _cleanup_(mount_entries_done)

/* Adds every line of the text; -EBADMSG at one that is none, with the list as far as it was read. */
int mountinfo_parse(const char *text, MountEntries *l);

/* The mounts of process 1; of a machine without one, none. 0 or a negative errno. */
int mountinfo_read_first(MountEntries *l);

/* Whether the source of such a file system is anything that whoever mounted it liked to say, and nothing that it stands on: what less
 * privileged users may mount (FS_USERNS_MOUNT) and what has its files in memory or in a program. ("fuseblk" is on a device.) */
bool mount_source_is_free(const char *type);

/* "259:0" */
int dev_parse(const char *s, dev_t *ret);
