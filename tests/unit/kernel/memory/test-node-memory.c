/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "holders/memory/memory-groups.h"
#include "kernel/memory/node-memory.h"
#include "tests/unit/test.h"

static const char guest[] =
        "Node 1 MemTotal:         524288 kB\n"
        "Node 1 MemFree:          480000 kB\n"
        "Node 1 MemUsed:           44288 kB\n"
        "Node 1 FilePages:         12000 kB\n"
        "Node 1 AnonPages:         20000 kB\n"
        "Node 1 Shmem:              8192 kB\n"
        "Node 1 KernelStack:          16 kB\n"
        "Node 1 PageTables:            8 kB\n"
        "Node 1 SecPageTables:         4 kB\n"
        "Node 1 Slab:                100 kB\n"
        "Node 1 AnonHugePages:     10240 kB\n"
        "Node 1 ShmemHugePages:    99999 kB\n"
        "Node 1 HugePages_Total:     3\n";

static void test_parts(void) {
        NodeMemory m;

        CHECK_INT(node_memory_parse(guest, &m), 0);
        CHECK_INT(m.total, UINT64_C(524288) << 10);
        CHECK_INT(m.free, UINT64_C(480000) << 10);
        CHECK_INT(m.anonymous, 20000 << 10);
        CHECK_INT(m.shared, 8192 << 10);
        CHECK_INT(m.files, (12000 - 8192) << 10);
        CHECK_INT(m.kernel, (16 + 8 + 4 + 100) << 10);
}

static void test_rubbish(void) {
        static const char *const texts[] = {
                "", "MemTotal: 1 kB\n", "Node 0 MemTotal: 1 kB\n", "Node 0 MemTotal: kB\nNode 0 MemFree: 1 kB\n",
                "Node 0 MemTotal: 18446744073709551615 kB\nNode 0 MemFree: 1 kB\n", "Node 0 MemTotal:",
        };
        NodeMemory m = { .total = 4711 };

        for (size_t i = 0; i < ELEMENTSOF(texts); i++)
                CHECK_INT(node_memory_parse(texts[i], &m), -EBADMSG);
        CHECK_INT(m.total, 4711);
        CHECK_INT(node_memory_parse("Node 0 MemTotal: 2 kB\nNode 0 MemFree: 1 kB\nNode 0 FilePages: 1 kB\nNode 0 Shmem: 2 kB\n", &m), 0);
        CHECK_INT(m.files, 0);
}

static void test_node_list(void) {
        static const int going[] = { 1, 2 };
        static const struct { const char *list; int want; } cases[] = {
                { "1", 1 }, { "2", 1 }, { "1-2", 1 }, { "1,2", 1 }, { "0", 0 }, { "0-1", 0 }, { "1,3", 0 }, { "1-3", 0 }, { "", 0 },
                { "x", -EBADMSG }, { "1-", -EBADMSG }, { "2-1", -EBADMSG }, { "1,", -EBADMSG }, { "1 2", -EBADMSG }, { "99999999", -EBADMSG },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                CHECK_INT(node_list_within(cases[i].list, going, ELEMENTSOF(going)), cases[i].want);
        CHECK_INT(node_list_within("0", NULL, 0), 0);

        static const struct { const char *list; int want; } with_two[] = {
                { "2", 1 }, { "0,2", 1 }, { "0-3", 1 }, { "0-1,3", 0 }, { "20", 0 }, { "", 0 }, { "2,x", -EBADMSG },
        };
        for (size_t i = 0; i < ELEMENTSOF(with_two); i++)
                CHECK_INT(node_list_has(with_two[i].list, 2), with_two[i].want);
}

/* Each group brings no more than it has and no more than it may. */
static void test_swappable(void) {
        MemoryGroup items[] = {
                { .anonymous = 100, .swap_left = UINT64_MAX }, { .anonymous = 500, .swap_left = 30 }, { .anonymous = 500, .swap_left = 0 },
        };
        MemoryGroups g = { .items = items, .n_items = ELEMENTSOF(items), .complete = true };

        CHECK_INT(memory_groups_swappable(&g, 1000), 130);
        CHECK_INT(memory_groups_swappable(&g, 120), 120);
        CHECK_INT(memory_groups_swappable(&g, 0), 0);
        g.complete = false;
        CHECK_INT(memory_groups_swappable(&g, 1000), 1000);
}

int main(void) {
        test_parts();
        test_rubbish();
        test_node_list();
        test_swappable();
        return EXIT_SUCCESS;
}
