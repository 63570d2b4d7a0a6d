/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "holders/holder.h"
#include "holders/process.h"

/* Who is never ended or frozen for a removal, whatever it holds. */
typedef struct Protection {
        const HoldTargets *targets;     /* for the sessions; borrowed */
        int *pids;
        size_t n_pids, n_allocated;
} Protection;

void protection_done(Protection *p);
/* This process and its ancestors, and those of the sessions that the targets protect, as they are now; `targets` must outlive it.
 * A negative errno without /proc or memory. */
int protection_find(const HoldTargets *targets, Protection *ret);
/* These, whoever is in such a session, PID 1, the kernel's own threads, and the message bus. unit: that the process is in, or NULL. */
bool protection_covers(const Protection *p, int pid, const ProcessStat *st, const char *unit);
