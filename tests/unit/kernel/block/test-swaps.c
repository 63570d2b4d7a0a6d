/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "kernel/block/swap.h"
#include "tests/unit/test.h"

#define TITLE "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"

static void test_lines(void) {
        _cleanup_swap_entries_ SwapEntries l = { 0 };

        CHECK_INT(swaps_parse(TITLE
                              "/dev/pmem0.3                            partition\t32764\t\t8\t\t5\n"
                              "/mnt/a\\040b/swap\\134x\\040(deleted)        file\t\t4092\t\t0\t\t-2\n", &l), 0);
        CHECK_INT(l.n_items, 2);
        CHECK_STR(l.items[0].path, "/dev/pmem0.3");
        CHECK(!l.items[0].file);
        CHECK_INT(l.items[0].size, 32764 * 1024);
        CHECK_INT(l.items[0].used, 8 * 1024);
        CHECK_INT(l.items[0].priority, 5);
        CHECK_STR(l.items[1].path, "/mnt/a b/swap\\x (deleted)");
        CHECK(l.items[1].file);
        CHECK_INT(l.items[1].priority, -2);
}

static void test_none(void) {
        _cleanup_swap_entries_ SwapEntries l = { 0 };

        CHECK_INT(swaps_parse("", &l), 0);
        CHECK_INT(swaps_parse(TITLE, &l), 0);
        CHECK_INT(l.n_items, 0);
}

static void test_nonsense(void) {
        static const char *const lines[] = {
                "x", "/dev/a partition", "/dev/a partition 1 2", "/dev/a partition -1 0 0", "/dev/a partition 1 0 --1",
                "/dev/a partition 1 0 9999999999", "/dev/a partition 18014398509481984 0 0",
        };

        for (size_t i = 0; i < ELEMENTSOF(lines); i++) {
                _cleanup_swap_entries_ SwapEntries l = { 0 };
                _cleanup_free_ char *text = strf(TITLE "%s\n", lines[i]);

                fprintf(stderr, "%s:\n", lines[i]);
                CHECK_INT(swaps_parse(text, &l), -EBADMSG);
                CHECK_INT(l.n_items, 0);
        }
}

int main(void) {
        test_lines();
        test_none();
        test_nonsense();
        return EXIT_SUCCESS;
}
