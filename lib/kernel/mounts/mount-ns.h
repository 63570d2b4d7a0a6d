/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "kernel/mounts/mount-ns-list.h"
#include "kernel/mounts/mountinfo.h"

/* What can be done with one mount namespace: open it, enter it, read its mounts. */

/* A descriptor of one by its id, through the path first that is known of it (may be NULL). -ENOENT: it is no more. */
int mount_ns_open(uint64_t id, const char *path);

/* The same for many (by_id need not be filled in), those that a path leads to first: visit() gets the descriptors, which are closed after it,
 * or a negative errno for one that cannot be opened, and ends all by returning anything but 0. Those that are no more are left out. */
int mount_ns_open_each(const MountNs *items, size_t n, int (*visit)(const MountNs *ns, int fd, void *data), void *data);

/* The text of its table of mounts, newly allocated, without entering it. A process sees the mounts below its own root only: any of them
 * will do whose root is the namespace's (the kernel says "/" for that, and for other folders where they are). -EAGAIN when no process can
 * speak for the namespace, or not any more: it has to be entered then. -EFBIG when it is longer than max bytes, -ENOMEM; else its length. */
int mount_ns_text(const MountNs *ns, size_t max, char **ret);

/* For a process of its own (kernel/process/apart.h): from here on every path is looked up in that namespace, from its root. */
int mount_ns_enter(int fd);
int mount_ns_enter_host(void); /* the same with that of /proc/1 */

/* The mounts of the namespace that this process has entered. proc_fd: a descriptor of /proc, opened before. -EFBIG when their table is longer
 * than max bytes; else its length. */
int mount_ns_read(int proc_fd, size_t max, MountEntries *l);

/* What stands topmost at a path in the namespace that this process has entered, as the id in mountinfo: the file system is not
 * asked anything, it may be dead. */
int mount_id_at(int proc_fd, const char *path, uint64_t *ret);

/* The mount that a descriptor was opened through, as the id in mountinfo. */
int mount_id_of(int proc_fd, int fd, uint64_t *ret);

/* A mount of the namespace that this process has entered, at a path that the kernel told (path_open_straight()): a descriptor with O_PATH, the
 * caller's. -ESTALE when another one is topmost there. */
int mount_place_open(int proc_fd, const char *target, uint64_t id);
