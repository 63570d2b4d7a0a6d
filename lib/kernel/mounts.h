/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/types.h>

#include "base/json.h"
#include "kernel/mount-ns.h"

/* The mounts of one file system in every mount namespace, and taking them away. All of it happens in a process of its own,
 * which enters one namespace after the other. A file system is known by its device and type: the number alone may be another's
 * by now where it is not a block device's (overlay, btrfs). */
typedef struct MountedFs {
        dev_t dev;              /* 0: any of the type */
        const char *type;
} MountedFs;

/* Is that a mount of it? */
bool mounted_fs_is(const MountedFs *fs, const MountEntry *m);

/* Every mount of it, as [{"ns", "pid", "ns_path", "id", "parent_id", "root", "target", "options", "propagation", "source",
 * "super_options", "on_top": [where other file systems are mounted on it], "names": ["net:[4026532600] at PATH", names of namespaces that are, which
 * go with it (kernel/unmount.h)]}]. -EINPROGRESS when the kernel did not
 * answer in time. */
int mounts_find(const MountedFs *fs, uint64_t timeout_usec, json_object **ret);

/* Adds those of one namespace's table to such an array. Anybody can make as many as the kernel allows. -ENOMEM. */
int mounts_of_table(const MountedFs *fs, const MountNs *ns, const MountEntries *l, json_object *to);

/* Calls visit() with the mounts of every mount namespace, one after the other: for functions that run apart. Stops at the first negative
 * errno. */
int mount_tables_for_each(int (*visit)(const MountNs *ns, const MountEntries *l, void *data), void *data);

/* Calls visit() within every mount namespace, in one process: for functions that run apart. A namespace that is gone when its
 * turn comes is passed over. Stops at the first negative errno. */
int mount_ns_for_each(int (*visit)(const MountNs *ns, int proc_fd, void *data), void *data);
