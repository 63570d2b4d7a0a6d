/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/util.h"

/* What one process has to do with a node, of several that go. */
typedef struct NumaUse {
        uint64_t bytes;
        bool bound;            /* a mapping of it may have pages on this node, and on none that stays */
        bool named;            /* the policy of a mapping has this node, alone or among others, and loses it with the node's memory: "prefer"
                                * of one node does not (mm/mempolicy.c:mpol_rebind_preferred) */
} NumaUse;

/* Adds up one line or more of numa_maps text. It is asked about nodes[0]; the others go with it. -EBADMSG on rubbish. */
int numa_maps_add(const char *text, const int *nodes, size_t n, NumaUse *use);

/* The same for the process whose /proc folder is open, line by line: the text of a large process is large, and the kernel
 * walks its page tables to make it. 0; or 1 when the deadline (monotonic) passed, *ret is what was seen until then. */
int numa_maps_use_of(int dirfd, const int *nodes, size_t n, uint64_t deadline, NumaUse *ret);
