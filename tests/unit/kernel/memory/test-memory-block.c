/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Runs on the recorded machine "ram2": blocks 146 to 149 are the card's, all online in ZONE_MOVABLE of node 1. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "kernel/memory/memory-block.h"
#include "kernel/sysfs/attr.h"
#include "tests/unit/test.h"

#define BLOCK_SIZE UINT64_C(0x8000000)
#define BLOCKS "/sys/devices/system/memory"

static void put(const char *path, const char *text) {
        _cleanup_fclose_ FILE *f = fopen(path, "we");

        CHECK(f);
        fputs(text, f);
}

static void test_words(void) {
        CHECK_STR(zone_to_string(ZONE_MOVABLE), "Movable");
        CHECK_INT(zone_from_string("Normal"), ZONE_NORMAL);
        CHECK_INT(zone_from_string("normal"), -EINVAL);
        CHECK_STR(memory_block_online_word(ZONE_MOVABLE), "online_movable");
        CHECK_STR(memory_block_online_word(ZONE_NORMAL), "online_kernel");
        CHECK_STR(memory_block_online_word(ZONE_DMA32), "online_kernel");
        CHECK_STR(memory_block_online_word(ZONE_NONE), "online");
}

/* memory_block_wanted_t */
static bool is_not(const MemoryBlock *b, void *userdata) {
        return b->id != *(const uint64_t *) userdata;
}

static void test_runs(void) {
        static const MemoryBlock blocks[] = {
                { .id = 3 }, { .id = 4, .zone = ZONE_NORMAL }, { .id = 5, .online = true, .zone = ZONE_NORMAL },
                { .id = 6, .online = true, .zone = ZONE_MOVABLE }, { .id = 7, .online = true, .zone = ZONE_MOVABLE },
                { .id = 8, .online = true, .zone = ZONE_MOVABLE }, { .id = 10, .online = true, .zone = ZONE_MOVABLE },
        };
        static const struct {
                uint64_t first;
                size_t n;
        } want[] = { { 3, 2 }, { 5, 1 }, { 6, 1 }, { 8, 1 }, { 10, 1 } };
        const MemoryBlock *first = NULL;
        uint64_t seven = 7;
        size_t at = 0;

        for (size_t i = 0; i < ELEMENTSOF(want); i++) {
                CHECK_INT(memory_blocks_next_run(blocks, ELEMENTSOF(blocks), is_not, &seven, &at, &first), want[i].n);
                CHECK_INT(first->id, want[i].first);
        }
        CHECK_INT(memory_blocks_next_run(blocks, ELEMENTSOF(blocks), is_not, &seven, &at, &first), 0);
        CHECK_INT(memory_blocks_next_run(blocks, 0, is_not, &seven, &(size_t) { 0 }, &first), 0);
}

static void test_read(void) {
        MemoryBlock b = { 0 };
        uint64_t size = 0;

        CHECK_INT(memory_block_size(&size), 0);
        CHECK_INT(size, BLOCK_SIZE);
        CHECK_INT(memory_block_read(147, &b), 0);
        CHECK_INT(b.id, 147);
        CHECK_INT(b.start, 147 * BLOCK_SIZE);
        CHECK(b.online);
        CHECK_INT(b.zone, ZONE_MOVABLE);
        CHECK_INT(b.node, 1);
        CHECK_INT(memory_block_read(150, &b), -ENOENT);
        CHECK_INT(b.id, 147);
}

/* What the zone of an offline block could be is not the zone it is in. */
static void test_states(void) {
        MemoryBlock b = { 0 };

        put(BLOCKS "/memory147/state", "offline\n");
        put(BLOCKS "/memory147/valid_zones", "Movable Normal\n");
        CHECK_INT(memory_block_read(147, &b), 0);
        CHECK(!b.online);
        CHECK_INT(b.zone, ZONE_NONE);

        put(BLOCKS "/memory147/state", "going-offline\n");
        CHECK_INT(memory_block_read(147, &b), 0);
        CHECK(b.online);
        CHECK_INT(b.zone, ZONE_MOVABLE);

        put(BLOCKS "/memory147/state", "online\n");
        put(BLOCKS "/memory147/valid_zones", "none\n");
        CHECK_INT(memory_block_read(147, &b), 0);
        CHECK_INT(b.zone, ZONE_NONE);

        CHECK_INT(unlink(BLOCKS "/memory147/node1"), 0);
        CHECK_INT(memory_block_read(147, &b), 0);
        CHECK_INT(b.node, -1);
}

/* However many nodes the machine has, and whichever of them a block has links to. */
static void test_nodes(void) {
        MemoryBlock b = { 0 };

        CHECK_INT(memory_block_read(148, &b), 0);
        CHECK_INT(b.node, 1);
        CHECK_INT(symlink("../../node/node0", BLOCKS "/memory148/node0"), 0);
        CHECK_INT(memory_block_read(148, &b), 0);
        CHECK_INT(b.node, 0);
        CHECK_INT(unlink(BLOCKS "/memory148/node0"), 0);

        for (int node = 2; node < 20; node++) {
                _cleanup_free_ char *folder = strf("/sys/devices/system/node/node%d", node);
                CHECK_INT(mkdir(folder, 0755), 0);
        }
        CHECK_INT(symlink("../../node/node12", BLOCKS "/memory148/node12"), 0);
        CHECK_INT(memory_block_read(148, &b), 0);
        CHECK_INT(b.node, 1);
        CHECK_INT(unlink(BLOCKS "/memory148/node1"), 0);
        CHECK_INT(memory_block_read(148, &b), 0);
        CHECK_INT(b.node, 12);
}

static void check_range(uint64_t start, uint64_t size, size_t n, uint64_t first) {
        _cleanup_free_ MemoryBlock *blocks = NULL;
        size_t got = 4711;

        CHECK_INT(memory_blocks_in_range(start, size, &blocks, &got), 0);
        CHECK_INT(got, n);
        for (size_t i = 0; i < n; i++)
                CHECK_INT(blocks[i].id, first + i);
}

static void test_range(void) {
        MemoryBlock *blocks = NULL;
        size_t n = 4711;

        check_range(146 * BLOCK_SIZE, 4 * BLOCK_SIZE, 4, 146);
        /* One that is there in part only is not in it. */
        check_range(147 * BLOCK_SIZE, 1, 0, 0);
        check_range(147 * BLOCK_SIZE - 1, 2, 0, 0);
        check_range(147 * BLOCK_SIZE, BLOCK_SIZE, 1, 147);
        check_range(147 * BLOCK_SIZE, BLOCK_SIZE - 1, 0, 0);
        check_range(146 * BLOCK_SIZE + 1, 3 * BLOCK_SIZE, 2, 147);
        check_range(146 * BLOCK_SIZE, 100 * BLOCK_SIZE, 4, 146);
        check_range(1000 * BLOCK_SIZE, BLOCK_SIZE, 0, 0);
        CHECK_INT(memory_blocks_in_range(0, 0, &blocks, &n), -EINVAL);
        CHECK_INT(memory_blocks_in_range(UINT64_MAX, 2, &blocks, &n), -EINVAL);
        CHECK_INT(n, 4711);

        /* All there are, from 0 on. */
        CHECK_INT(memory_blocks_in_range(0, UINT64_MAX, &blocks, &n), 0);
        CHECK_INT(n, 28);
        CHECK_INT(blocks[0].id, 0);
        CHECK_INT(blocks[n - 1].id, 149);
        free(blocks);
}

static void test_policy(void) {
        _cleanup_free_ char *policy = NULL;

        CHECK_INT(auto_online_policy_read(&policy), 0);
        CHECK_STR(policy, "online_movable");
}

static void test_broken(void) {
        uint64_t size = 4711;

        put(BLOCKS "/block_size_bytes", "8000001\n");
        CHECK_INT(memory_block_size(&size), -EBADMSG);
        put(BLOCKS "/block_size_bytes", "0\n");
        CHECK_INT(memory_block_size(&size), -EBADMSG);
        CHECK_INT(size, 4711);
}

int main(void) {
        test_words();
        test_runs();
        test_read();
        test_range();
        test_nodes();
        test_policy();
        test_states();
        test_broken();
        return EXIT_SUCCESS;
}
