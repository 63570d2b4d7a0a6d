/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/id-map.h"
#include "kernel/mounts/mountinfo.h"

/* Mount namespaces: every service with a sandbox and every container has one, each with mounts of its own. */
typedef struct MountNs {
        uint64_t id;            /* inode of its nsfs file: what readlink /proc/PID/ns/mnt shows */
        int pid;                /* a process in it, the lowest; 0: nobody is, a bind mount or a descriptor keeps it */
        char *path;             /* what to open to get at it: /proc/PID/ns/mnt, of a thread /proc/PID/task/TID/ns/mnt, or what keeps
                                 * it; NULL where the kernel says that it exists, and will give it to who asks by its id */
        bool foreign;           /* it belongs to another user namespace than that of PID 1: what it was given at its making is locked
                                 * there, and cannot be unmounted (fs/namespace.c:lock_mnt_tree) */
        uint32_t owner;         /* of a foreign one: the user who made its user namespace, or the outermost that this one lies in */
} MountNs;

typedef struct MountNsList {
        MountNs *items;         /* that of PID 1 first; foreign ones last (kernel/mount-ns-budget.h) */
        size_t n_items, n_allocated;
        IdMap by_id;
        bool cut;               /* there may be more that nobody is in: it took too long to list them */
} MountNsList;

void mount_ns_list_done(MountNsList *l);

#define _cleanup_mount_ns_list_ _cleanup_(mount_ns_list_done)

/* Every namespace that a process or thread is in, and every other that exists: the kernel lists them from 6.12 on
 * (NS_MNT_GET_NEXT); before, and to whoever may not see all, those are found that a bind mount or a descriptor keeps. */
int mount_ns_list(MountNsList *l);

/* The last, by itself: adds to those that processes are in. */
int mount_ns_list_kept(MountNsList *l);

/* Adds one unless it is there, and takes over the path. */
int mount_ns_add(MountNsList *l, uint64_t id, int pid, char *path);

/* The one with that id, or NULL. */
const MountNs *mount_ns_find(const MountNsList *l, uint64_t id);

/* "mnt:[4026531841]" */
int mount_ns_parse(const char *name, uint64_t *ret);

/* A descriptor of one by its id, through the path first that is known of it (may be NULL). -ENOENT: it is no more. */
int mount_ns_open(uint64_t id, const char *path);

/* The same for many (by_id need not be filled in), those that a path leads to first: visit() gets the descriptors, which are closed behind it,
 * or a negative errno for one that cannot be opened, and ends all by returning anything but 0. Those that are no more are left out. */
int mount_ns_open_each(const MountNs *items, size_t n, int (*visit)(const MountNs *ns, int fd, void *data), void *data);

/* The id that such a path leads to. */
int mount_ns_id(const char *path, uint64_t *ret);

/* Does it belong to the user namespace of PID 1, as a service's sandbox does? Then only the machine's own root mounts there
 * (fs/namespace.c:may_mount). */
bool mount_ns_is_hosts(int fd);

/* The id behind /proc/1/ns/mnt. */
int mount_ns_host(uint64_t *ret);

/* The text of its table of mounts, newly allocated, without entering it. A process sees the mounts below its own root only: any of them
 * will do whose root is the namespace's (the kernel says "/" for that, and for other folders where they are). -EAGAIN when no process can
 * speak for the namespace, or not any more: it has to be entered then. -EFBIG when it is longer than max bytes, -ENOMEM; else its length. */
int mount_ns_text(const MountNs *ns, size_t max, char **ret);

/* For a process of its own (kernel/apart.h): from here on every path is looked up in that namespace, from its root. */
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
