/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/strtab.h"
#include "base/util.h"

typedef enum Zone {
        ZONE_NONE,     /* offline, or a block that spans zones */
        ZONE_DMA,
        ZONE_DMA32,
        ZONE_NORMAL,
        ZONE_MOVABLE,
        ZONE_DEVICE,
        _ZONE_MAX,
        _ZONE_INVALID = -EINVAL,
} Zone;

DECLARE_STRING_TABLE(zone, Zone); /* the kernel's words: "none", "DMA", "DMA32", "Normal", "Movable", "Device" */

#define MEMORY_BLOCKS "/sys/devices/system/memory"

/* One memoryN of them. The zone of an online block is the first word of valid_zones
 * (drivers/base/memory.c:valid_zones_show); for an offline one it is where it could go, so it is not kept. */
typedef struct MemoryBlock {
        uint64_t id;
        uint64_t start; /* physical address */
        bool online;
        Zone zone;
        int node;       /* -1 when the kernel does not say */
} MemoryBlock;

int memory_block_size(uint64_t *ret);                       /* bytes */
int memory_block_read(uint64_t id, MemoryBlock *ret);       /* -ENOENT when the block does not exist */

/* Whether it is online alone, for whoever asks about all of them. */
typedef struct MemoryBlockNow {
        bool online;            /* or on its way offline */
        uint64_t birth;         /* higher than that of every block that was added before it (fs/kernfs/dir.c:__kernfs_new_node numbers folders
                                 * one after the other), also of one with the same number */
} MemoryBlockNow;

int memory_block_now(uint64_t id, MemoryBlockNow *ret);     /* -ENOENT when the block does not exist */

/* Every block that lies wholly in [start, start+size), lowest first. One that only begins or ends there is not that memory's: kmem adds
 * whole blocks alone (drivers/dax/kmem.c:dax_kmem_range), and a block is offline as a whole or not at all. The array belongs to the
 * caller. */
int memory_blocks_in_range(uint64_t start, uint64_t size, MemoryBlock **ret, size_t *ret_n);

/* Every block there is. One that cannot be read is told to odd(), whose error ends this, and counts as online, without zone or node. */
typedef int (*memory_block_odd_t)(void *userdata, uint64_t id, int error);
int memory_blocks_all(MemoryBlock **ret, size_t *ret_n, memory_block_odd_t odd, void *userdata);

/* Blocks side by side that `wanted` says yes of, all in the same state and zone: how many there are in the next such run from *at on, 0: there
 * is none. *ret_first is its first, and *at the place after its last. `blocks` are n, lowest first. */
typedef bool (*memory_block_wanted_t)(const MemoryBlock *b, void *userdata);
size_t memory_blocks_next_run(const MemoryBlock *blocks, size_t n, memory_block_wanted_t wanted, void *userdata, size_t *at,
                              const MemoryBlock **ret_first);

/* Is this the name of one, in MEMORY_BLOCKS? */
bool memory_block_is_name(const char *name, uint64_t *ret_id);

#define MEMORY_NODES "/sys/devices/system/node"

/* Is this the name of a node, in MEMORY_NODES? */
bool memory_node_is_name(const char *name, int *ret);

/* What to write to `state` so that the block comes back into the zone it was in. */
const char *memory_block_online_word(Zone zone);

int auto_online_policy_read(char **ret); /* "offline", "online", "online_kernel", "online_movable" */
#define AUTO_ONLINE_PATH MEMORY_BLOCKS "/auto_online_blocks"
