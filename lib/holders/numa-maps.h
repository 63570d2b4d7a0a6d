/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/util.h"

/* What one process has to do with a node. */
typedef struct NumaUse {
        uint64_t bytes;
        bool bound;            /* a mapping of it may have pages on no other node */
} NumaUse;

/* Adds up one line or more of numa_maps text. -EBADMSG on rubbish. */
int numa_maps_add(const char *text, int node, NumaUse *use);

/* The same for the process whose /proc folder is open, line by line: the text of a large process is large, and the kernel
 * walks its page tables to make it. 0; or 1 when the deadline (monotonic) passed, *ret is what was seen until then. */
int numa_maps_use_of(int dirfd, int node, uint64_t deadline, NumaUse *ret);
