/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "kernel/mounts/mount-ns.h"

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
                                                         * into one answer (kernel/apart.c) */
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
