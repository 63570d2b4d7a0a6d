/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "holders/holder.h"
#include "holders/protect.h"

/* The inside of holders_scan(). */

typedef struct Scan {
        const HoldTargets *targets;
        bool wants[_TARGET_KIND_MAX];
        uint64_t deadline;      /* monotonic */
        Protection protection;
        Holders *holders;       /* borrowed */
} Scan;

/* One process being looked at. Everything is read through one descriptor of its /proc/PID: should the number be given to
 * another process meanwhile, the reads fail instead of telling about that one. */
typedef struct Look {
        Scan *scan;
        int dirfd;              /* /proc/PID */
        int pid;
        Holder holder;          /* what is known of it so far; only its holds are filled in */
} Look;

/* Adds a hold, or adds its bytes to one of the same way, target and path. `link` is the link below /proc/PID that says the path,
 * `found` how it was found. */
int look_add(Look *l, HoldWay way, size_t target, const char *link, const char *found, uint64_t bytes);

/* What of the process is one of the targets. 0, or the first error that was met: the rest was looked at all the same. */
int look_at_files(Look *l);     /* descriptors, folders, program */
int look_at_mappings(Look *l);

/* Is it the target? By the device number of the file system, and what stat says of the file itself. */
bool target_is(const HoldTarget *t, dev_t fs, mode_t mode, dev_t rdev);

/* Looks at one process, a folder of /proc, and adds it to the holders if it is one. 0 also when it has ended; -ENOMEM. */
int scan_process(Scan *s, int proc, const char *name);
