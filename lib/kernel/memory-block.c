/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "base/parse.h"
#include "base/span.h"
#include "kernel/attr.h"
#include "kernel/listing.h"
#include "kernel/memory-block.h"

#define MEMORY "/sys/devices/system/memory"

static const char *const zone_table[_ZONE_MAX] = {
        [ZONE_NONE] = "none",
        [ZONE_DMA] = "DMA",
        [ZONE_DMA32] = "DMA32",
        [ZONE_NORMAL] = "Normal",
        [ZONE_MOVABLE] = "Movable",
        [ZONE_DEVICE] = "Device",
};

DEFINE_STRING_TABLE(zone, Zone)

int memory_block_size(uint64_t *ret) {
        _cleanup_free_ char *text = NULL;
        uint64_t size;

        int r = attr_read(MEMORY "/block_size_bytes", &text);
        if (r < 0)
                return r;
        /* "%lx" without 0x (drivers/base/memory.c:block_size_bytes_show). */
        r = parse_hex(text, &size);
        if (r < 0)
                return r;
        if (size == 0 || (size & (size - 1)) != 0)
                return -EBADMSG;

        *ret = size;
        return 0;
}

/* The zone of an online block is the first word; a block over several zones says "none". */
static Zone zone_of(const char *valid_zones) {
        _cleanup_free_ char *word = strndup(valid_zones, strcspn(valid_zones, " "));
        int z = word ? zone_from_string(word) : -ENOMEM;

        return z < 0 ? ZONE_NONE : (Zone) z;
}

/* The link "nodeN" in the block's folder; the lowest one where a block belongs to several. */
static int node_of(uint64_t id, int *ret) {
        _cleanup_listing_ Listing l = { 0 };

        int r = listing_readf(&l, MEMORY "/memory%ju", (uintmax_t) id);
        if (r < 0)
                return r;

        *ret = -1;
        for (size_t i = 0; i < l.n; i++) {
                const char *number = startswith(l.names[i], "node");
                uint64_t node;
                if (number && parse_u64(number, &node) >= 0 && node <= INT32_MAX) {
                        *ret = (int) node;
                        break;
                }
        }
        return 0;
}

static int read_with_size(uint64_t id, uint64_t block_size, MemoryBlock *ret) {
        _cleanup_free_ char *state = NULL, *zones = NULL;
        MemoryBlock b = { .id = id, .node = -1 };

        int r = attr_readf(&state, MEMORY "/memory%ju/state", (uintmax_t) id);
        if (r < 0)
                return r;
        /* "going-offline" is still memory in use. */
        b.online = !streq(state, "offline");

        if (b.online) {
                r = attr_readf(&zones, MEMORY "/memory%ju/valid_zones", (uintmax_t) id);
                if (r < 0 && r != -ENOENT)
                        return r;
                b.zone = zones ? zone_of(zones) : ZONE_NONE;
        }

        r = node_of(id, &b.node);
        if (r < 0)
                return r;

        /* A block's number is its place in the physical address space (memory.c:phys_index_show gives the same). */
        if (__builtin_mul_overflow(id, block_size, &b.start))
                return -EBADMSG;
        *ret = b;
        return 0;
}

int memory_block_read(uint64_t id, MemoryBlock *ret) {
        uint64_t size;

        int r = memory_block_size(&size);
        return r < 0 ? r : read_with_size(id, size, ret);
}

static bool is_block(const char *name, uint64_t *ret_id) {
        const char *number = startswith(name, "memory");

        return number && parse_u64(number, ret_id) >= 0;
}

/* Goes by the blocks that exist, not by the addresses: a caller may well ask for everything. */
static int blocks_find(uint64_t start, uint64_t size, memory_block_odd_t odd, void *userdata, MemoryBlock **ret, size_t *ret_n) {
        _cleanup_listing_ Listing l = { 0 };
        uint64_t block_size, at, id;

        int r = memory_block_size(&block_size);
        if (r < 0)
                return r;
        r = listing_readf(&l, MEMORY);
        if (r < 0)
                return r;

        size_t n = 0;
        _cleanup_free_ MemoryBlock *blocks = calloc(l.n + 1, sizeof(*blocks));
        if (!blocks)
                return -ENOMEM;
        for (size_t i = 0; i < l.n; i++) {
                if (!is_block(l.names[i], &id) || __builtin_mul_overflow(id, block_size, &at) || !span_within(at, block_size, start, size))
                        continue;
                r = read_with_size(id, block_size, &blocks[n]);
                if (r == -ENOENT && !path_existsf(MEMORY "/%s", l.names[i])) /* went away since */
                        continue;
                if (r < 0 && r != -ENOMEM && odd) {
                        blocks[n] = (MemoryBlock) { .id = id, .start = id * block_size, .online = true, .node = -1 };
                        r = odd(userdata, id, r);
                }
                if (r < 0)
                        return r;
                n++;
        }

        *ret = TAKE_PTR(blocks);
        *ret_n = n;
        return 0;
}

int memory_blocks_in_range(uint64_t start, uint64_t size, MemoryBlock **ret, size_t *ret_n) {
        uint64_t end;

        if (size == 0 || __builtin_add_overflow(start, size - 1, &end))
                return -EINVAL;
        return blocks_find(start, size, NULL, NULL, ret, ret_n);
}

int memory_blocks_all(MemoryBlock **ret, size_t *ret_n, memory_block_odd_t odd, void *userdata) {
        return blocks_find(0, UINT64_MAX, odd, userdata, ret, ret_n);
}

const char *memory_block_online_word(Zone zone) {
        switch (zone) {
        case ZONE_MOVABLE:
                return "online_movable";
        case ZONE_DMA:
        case ZONE_DMA32:
        case ZONE_NORMAL:
                return "online_kernel";
        default:
                return "online";
        }
}

int auto_online_policy_read(char **ret) {
        return attr_read(AUTO_ONLINE_PATH, ret);
}
