/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/types.h>

#include "base/json.h"
#include "kernel/mounts/mount-ns.h"

/* The mounts of one file system in every mount namespace, and taking them away. All of it happens in a process of its own,
 * which enters one namespace after the other, of those that anybody may have made no more than a budget allows
 * (kernel/mounts/mount-ns-list.h). A file system is known by its device and type: the number alone may be another's
 * by now where it is not a block device's (overlay, btrfs). */
typedef struct MountedFs {
        dev_t dev;              /* 0: any of the type */
        const char *type;
} MountedFs;

/* Is that a mount of it? */
bool mounted_fs_is(const MountedFs *fs, const MountEntry *m);

/* Every mount of it, as [{"ns", "pid", "foreign", "ns_path", "id", "parent_id", "root", "target", "options", "propagation", "parent_propagation", "source",
 * "super_options", "on_top": [where other file systems are mounted on it], "names": ["net:[4026532600] at PATH", names of namespaces that are, which
which go with it (kernel/mounts/unmount.h)]}]. Of those of less
 * privileged users as many as there is room for, for each of them: the first that had none has "more": true and "owner", who that is. -EINPROGRESS
 * when the kernel did not answer in time, -EFBIG when the machine's own are too many (mounts_find_error()). */
int mounts_find(const MountedFs *fs, uint64_t timeout_usec, json_object **ret);

/* What to say about an error of these, for a person. Static. */
const char *mounts_find_error(int error);

/* The same for whoever takes an empty array for an answer, which takes longer: -E2BIG when there were too many namespaces all the same. */
int mounts_find_all(const MountedFs *fs, uint64_t timeout_usec, json_object **ret);

/* Adds those of one namespace's table to such an array. Anybody can make as many as the kernel allows. -ENOMEM. */
int mounts_of_table(const MountedFs *fs, const MountNs *ns, const MountEntries *l, json_object *to);

/* Calls visit() with the mounts of the mount namespaces, one after the other: for functions that run apart. Stops at the first negative
 * errno, but for one of a namespace that anybody may have made. all: as with mounts_find_all(). */
int mount_tables_for_each(bool all, int (*visit)(const MountNs *ns, const MountEntries *l, void *data), void *data);

/* Calls visit() within the mount namespaces, in one process: for functions that run apart. A namespace that is gone when its
 * turn comes is passed over, and so are those of a user whose share of the time is used up (MountNsShares). Stops likewise. max: how long a
 * table of mounts it may read there (mount_ns_read()); it returns how long that was, or a negative errno. until: monotonic, when it has to be
 * through; UINT64_MAX in the host's own. 1: some were passed over for want of time. */
typedef int (*mount_ns_visit_t)(const MountNs *ns, int proc_fd, size_t max, uint64_t until, void *data);
int mount_ns_for_each(mount_ns_visit_t visit, void *data);

/* Is that a name of a namespace ("net:[4026532600]" of nsfs) that may go with what it is mounted on? Whoever is in the namespace keeps
 * it. What is in the memory of a mount or IPC namespace would be lost with its name. */
bool mount_is_name(const char *type, const char *root);
