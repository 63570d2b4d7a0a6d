/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/ioctl.h>

#include "base/id-map.h"

/* Which mount namespaces there are, whose they are, and how many of them are looked through. */

/* From linux/nsfs.h of 6.12; Debian 12's headers are older. */
struct mnt_ns_info {
        uint32_t size, nr_mounts;
        uint64_t mnt_ns_id;
};

#ifndef NS_MNT_GET_NEXT
#define NS_MNT_GET_NEXT _IOR(0xb7, 11, struct mnt_ns_info)
#define NS_MNT_GET_PREV _IOR(0xb7, 12, struct mnt_ns_info)
#endif

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
        MountNs *items;         /* that of PID 1 first; foreign ones last, each of their users in turn */
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

/* The id that such a path leads to. */
int mount_ns_id(const char *path, uint64_t *ret);

/* Does it belong to the user namespace of PID 1, as a service's sandbox does? Then only the machine's own root mounts there
 * (fs/namespace.c:may_mount). */
bool mount_ns_is_hosts(int fd);

/* The id behind /proc/1/ns/mnt. */
int mount_ns_host(uint64_t *ret);

/* Calls visit() with a descriptor of each mount namespace of the kernel, from that of PID 1 in one direction: NS_MNT_GET_NEXT or
 * NS_MNT_GET_PREV. visit() returns 0 to go on; anything else ends the walk and is returned. -ENOTTY before 6.12. */
int mount_ns_walk(unsigned long direction, int (*visit)(int fd, void *data), void *data);

/* The id of the namespace that is open there. */
int mount_ns_id_of(int fd, uint64_t *ret);

/* The /proc folder of the process or thread through whose own link the path of the namespace goes, newly allocated; or NULL: it may as well be
 * the name of a mount, and then anybody may have chosen what lies beside it. */
char *mount_ns_process_folder(const MountNs *ns);

/* How many mount namespaces are looked through. Whoever may make a user namespace may make as many of the other kind in it as the kernel
 * allows, each with a hundred thousand mounts of which every line is pages long. Those of the host's own users only an administrator makes:
 * all of these are looked through, whatever they cost. Of the others as many as fit a budget: those that somebody is in first, and
 * those of every user in turn, so that nobody's crowd out another one's.
 *
 * Who leaves some out must not conclude that nothing is mounted there. It does not have to know: a file system that is mounted anywhere has a
 * super block that lives, and that is asked (lib/plan/find/find-kernel-users.c, lib/step/storage/step-unmount.c). */
enum {
        MOUNT_NS_BUDGET_MSEC = 1000,
        MOUNT_NS_PATIENT_MSEC = 6000,                   /* for whoever has to know */
        MOUNT_NS_SHARE_MSEC = 20,                       /* that a user gets at least, however many there are */
        MOUNT_NS_BUDGET_BYTES = 15 * 1024 * 1024,       /* of all their tables, for whoever keeps them: with what is said of each they fit
                                                         * into one answer (kernel/process/apart.c) */
        MOUNT_NS_TABLE_BYTES = 4 * 1024 * 1024,         /* of a single one: 100 bytes a line make 40,000 mounts */
        MOUNT_NS_WHOLE_TABLE_BYTES = 64 * 1024 * 1024,  /* of one of the host's own */
};

typedef struct MountNsBudget {
        uint64_t deadline;      /* monotonic */
        size_t bytes;           /* that are left */
        size_t n_left_out;
} MountNsBudget;

/* bytes: SIZE_MAX for whoever keeps nothing. */
void mount_ns_budget_begin(MountNsBudget *b, unsigned msec, size_t bytes);

/* How long a table of that namespace may be; 0: it is left out, and counted. */
size_t mount_ns_budget_for(MountNsBudget *b, const MountNs *ns);

/* So long was it. A negative errno: it could not be read, or was longer. An error with a namespace that anybody may have made is no
 * error: it is left out, and counted. */
int mount_ns_budget_took(MountNsBudget *b, const MountNs *ns, int length_or_error);

/* For whoever does not only read a table, but stays until nothing is left to do: each user who has namespaces of the kind that anybody
 * may make gets the same share of the time, for all of his together. What he does not need nobody else gets: who comes back later has as
 * much again. */
typedef struct MountNsShares {
        IdMap owners;           /* places in `used` */
        uint64_t *used;         /* microseconds */
        uint64_t share;         /* of each, likewise */
} MountNsShares;

/* Between the users in that list. -ENOMEM. */
int mount_ns_shares_begin(MountNsShares *s, const MountNsList *l, unsigned msec);
void mount_ns_shares_done(MountNsShares *s);

/* Until when somebody may stay in that namespace (monotonic), which he enters now: in the past where the user's share is used up, UINT64_MAX in one
 * of the host's own. */
uint64_t mount_ns_shares_until(const MountNsShares *s, const MountNs *ns, uint64_t now);

/* So long did he stay. */
void mount_ns_shares_took(MountNsShares *s, const MountNs *ns, uint64_t usec);

/* In the order above. -ENOMEM. */
int mount_ns_sort(MountNsList *l);
