/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/json.h"
#include "base/util.h"
#include "holders/look-gaps.h"

/* Who has memory on a NUMA node. */

/* A process with pages on the node, or with the node in its policy, from /proc/PID/numa_maps. The kernel shows there the policies of its mappings
 * and, where one has none, that of its first thread (fs/proc/task_mmu.c:show_numa_map); those of its other threads nobody is told of here. */
typedef struct MemoryHolder {
        int pid;
        uint64_t start_time;   /* /proc/PID/stat field 22: together with the pid this names one process */
        char *comm;
        char *exe;             /* or NULL */
        char *unit;            /* systemd unit out of /proc/PID/cgroup, or NULL */
        uint32_t uid;
        bool hidden;           /* from that user, by /proc: process_user() */
        uint64_t bytes;        /* on this node */
        bool bound;            /* its policy (mbind, numactl --membind) allows no node that stays: once the node's memory is gone, the
                                * next page it touches for the first time gets it killed (mm/oom_kill.c) */
        bool named;            /* its policy has this node, and loses it with the node's memory */
} MemoryHolder;

typedef struct MemoryHolders {
        MemoryHolder *items;
        size_t n_items, n_allocated;
        Gaps gaps;             /* why there may be others */
} MemoryHolders;

void memory_holders_free(MemoryHolders *h);
DEFINE_CLEANUP_FUNC(MemoryHolders, memory_holders_free)

/* Bytes on `node` in the text of one numa_maps file ("N2=512 kernelpagesize_kB=4", ...). -EBADMSG on rubbish. */
int numa_maps_sum(const char *text, int node, uint64_t *ret);

/* Has it memory there, or may it have it nowhere else? Others have a policy alone. */
bool memory_holder_uses(const MemoryHolder *h);

/* Of nodes[0], largest first; the others of the n nodes go with it: with those whose policy alone has nodes[0]. Stops after budget_usec (0: no limit) with a gap, at the
 * latest a little later. 0 or a negative errno (no /proc, no memory). */
int memory_holders_scan(const int *nodes, size_t n, uint64_t budget_usec, MemoryHolders **ret);

/* The same in two parts, for whoever has something else to do meanwhile. Whoever has begun a look ends it: that waits for it, and frees it. */
typedef struct MemoryScan MemoryScan;
int memory_scan_begin(const int *nodes, size_t n, uint64_t budget_usec, MemoryScan **ret);
int memory_scan_end(MemoryScan *scan, MemoryHolders **ret);

/* The same of those alone whose policy has the node so (numactl --interleave), with pages there or without. */
int memory_policies_scan(int node, uint64_t budget_usec, MemoryHolders **ret);

/* {"kind": "memory", ...} as it stands in a plan; the caller owns it. */
json_object *memory_holder_to_json(const MemoryHolder *h);

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
