/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/util.h"

/* What /proc/PID/stat says that is of use here. */
typedef struct ProcessStat {
        char state;             /* 'R', 'S', 'T' (stopped by a signal), 'Z', ... */
        int ppid, session;
        bool kernel_thread;
        uint64_t threads;       /* that were not reaped yet; the first one counts until the last has ended */
        uint64_t start_time;
} ProcessStat;

/* Has all of it ended? The first thread is a zombie as long as others live. */
bool process_stat_ended(const ProcessStat *st);

/* The text of the file. -EBADMSG on rubbish. */
int stat_parse(const char *stat, ProcessStat *ret);
int stat_start_time(const char *stat, uint64_t *ret);
