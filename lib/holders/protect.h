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
int protection_find(const HoldTargets *targets, Protection *ret);
bool protection_covers(const Protection *p, int pid, const ProcessStat *st);
