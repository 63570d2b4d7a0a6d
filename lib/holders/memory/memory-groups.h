/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/util.h"

/* Control groups that cannot live without certain nodes, or whose memory may not be swapped, from the unified hierarchy
 * (Documentation/admin-guide/cgroup-v2.rst). */
typedef struct MemoryGroup {
        char *cgroup;           /* "/system.slice/x.service" */
        int pid;                /* a process in it, 0: none */
        bool bound;             /* cpuset.mems.effective has none but the nodes that were asked about */
        char *mems;             /* that list */
        uint64_t anonymous;     /* memory.stat, on all nodes */
        uint64_t swap_left;     /* memory.swap.max less memory.swap.current, the least of its own and of all above; UINT64_MAX: no limit */
} MemoryGroup;

typedef struct MemoryGroups {
        MemoryGroup *items;
        size_t n_items, n_allocated;
        bool complete;          /* false when a group could not be read, or there is no unified hierarchy */
} MemoryGroups;

void memory_groups_done(MemoryGroups *g);

/* Groups with processes of their own. 0 or -ENOMEM. */
int memory_groups_scan(const int *nodes, size_t n, uint64_t budget_usec, MemoryGroups *ret);

/* memory.stat: the bytes behind "anon". -EBADMSG where it has none. */
int memory_stat_anonymous(const char *text, uint64_t *ret);

/* memory.swap.max less memory.swap.current; NULL for a file that is not there. UINT64_MAX: no limit. -EBADMSG on rubbish. */
int swap_left_parse(const char *max, const char *current, uint64_t *ret);

/* What all of them together could swap out of `free` bytes of swap, and what they could without limits. */
uint64_t memory_groups_swappable(const MemoryGroups *g, uint64_t free);
uint64_t memory_groups_anonymous(const MemoryGroups *g, uint64_t free);

/* The name of the unit that it is the group of, NULL when it is none that anybody should stop. Borrowed. */
const char *memory_group_unit(const MemoryGroup *g);
