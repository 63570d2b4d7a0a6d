/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/util.h"

/* Places in sysfs, configfs and /proc in which the kernel names a block device that something uses: how they are walked, and how the name
 * is got out of them. What it means that a device is named there, its readers know (kernel-users.h, block-refs.h). */

#define PLACE_BTRFS "/sys/fs/btrfs/*/devices/*"
#define PLACE_BCACHEFS "/sys/fs/bcachefs/*/dev-*/block"
#define PLACE_JOURNALS "/proc/fs/jbd2/*"

typedef int (*place_visit_t)(const char *path, void *userdata);

/* Calls `visit` with each path that the pattern (glob(7)) leads to, in order, until it returns an error, which is returned. -EIO, without a
 * call, when a folder on the way is there and cannot be looked into. */
int places_visit(const char *pattern, place_visit_t visit, void *userdata);

/* The errors of what went away while it was read. */
bool place_is_gone(int error);

/* The component of a path, counted from its end; newly allocated. */
char *path_part(const char *path, unsigned level);

/* The following return the name that a device has in sysfs, newly allocated; it may be nobody's by now. */

/* Of PLACE_BTRFS the last component, of PLACE_BCACHEFS the device that the link leads to. NULL: the link cannot be read. */
char *place_member(const char *path);

/* "nvme0n1p1-8" is a journal inside its file system, of this inode; one of its own has no number (fs/jbd2/journal.c). Which of the two
 * "dm-0" is, the name of a device decides. */
char *place_journal(const char *path, bool *ret_inside);

/* "/dev/sda1" is known by its name, "/dev/disk/by-id/X" and "/dev/mapper/X" are links to such; a name with a slash has '!' in sysfs, and so
 * has that of a link that leads nowhere. A node whose device has gone is deleted, and the kernel says so. NULL: not a device's path. */
char *place_of_node(const char *path);
