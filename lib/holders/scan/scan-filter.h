/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Most processes hold none of the targets, and to see that through /proc takes some hundred calls of each. A program in the kernel
 * (scan-filter.bpf.c) sees it in a few microseconds. It says no more than who need not be looked at: what somebody holds, and how, is found
 * by one piece of code, through /proc. */

#ifndef __bpf__
#include <linux/types.h>

#include "holders/holder.h"
#include "holders/scan/process-roll.h"

typedef enum FilterWay {
        FILTER_WHERE_WORTH,     /* loading it takes as long as looking at some hundred processes does */
        FILTER_ALWAYS,
        FILTER_NEVER,
} FilterWay;

/* Leaves out of the roll, before its first pass, whoever holds none of them. It takes a kernel of 6.4 or later with a description of its
 * types (BTF), CAP_BPF and CAP_PERFMON, libbpf, and the first process namespace. Where one of these is missing, or it is not done in time
 * (deadline: monotonic), nobody is left out, or not all who could be, and that is no error. The number of those left out; a negative errno
 * tells why there are none. */
int scan_filter(const HoldTargets *targets, FilterWay way, uint64_t deadline, ProcessRoll *roll);
#endif

/* What the program and who loads it tell each other. */
enum filter_kind { FILTER_FS, FILTER_BLOCK, FILTER_CHAR };

/* The value in the map is what it is worth to have this: FILTER_HOLDS, or FILTER_OWN where only we have it, to see that we are found. */
struct filter_target {
        __u32 kind;
        __u32 dev;              /* as the kernel packs it */
};

enum {
        FILTER_READERS = 2,     /* threads of ours */

        FILTER_HOLDS = 1,       /* or it was not understood */
        FILTER_OWN = 2,
        FILTER_MAPPINGS_SHIFT = 2, /* the same of mappings stands so much higher */
        FILTER_LEADER = 16,     /* the first thread answers always, others where they hold something */
};

struct filter_given {
        __u64 deadline;         /* CLOCK_MONOTONIC, ns */
        __u32 wants_fs;         /* some target is a file system, */
        __u32 wants_anonymous;  /* with a number that stands for no device: it may be an overlay */
        __u32 own;              /* our pid: we are looked at whatever the time */
};

struct filter_answer {
        __u32 pid;              /* the process */
        __u32 bits;
};
