/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is given up by force must be somebody's page, and pinned: never one of the kernel's own. */
#include <linux/kernel-page-flags.h>

#include "kernel/pages/page-frame.h"
#include "step/undo/poison.h"
#include "tests/unit/test.h"

#define FLAG(name) (UINT64_C(1) << KPF_##name)
#define ANON (FLAG(LRU) | FLAG(ANON) | FLAG(SWAPBACKED) | FLAG(MMAP))

static uint64_t extra(uint64_t flags, uint64_t mappings, uint64_t references) {
        uint64_t n = UINT64_MAX;

        CHECK_INT(page_frame_judge(flags, mappings, references, &n), PAGE_FRAME_USERS);
        return n;
}

static void test_users(void) {
        CHECK_INT(extra(ANON, 1, 1), 0);
        CHECK_INT(extra(ANON, 3, 3), 0);
        CHECK_INT(extra(ANON, 1, 2), 1);
        CHECK_INT(extra(ANON, 1, 1025), 1024);
        CHECK_INT(extra(FLAG(LRU) | FLAG(ANON), 0, 1), 1);
        CHECK_INT(extra(ANON | FLAG(SWAPCACHE), 1, 2), 0);
        CHECK_INT(extra(FLAG(LRU) | FLAG(MMAP), 1, 2), 0);
        CHECK_INT(extra(FLAG(LRU) | UINT64_C(1) << 35, 0, 2), 0);
        CHECK_INT(extra(FLAG(LRU), 0, 2), 1);
        CHECK_INT(extra(ANON, 2, 1), 0);
}

static void test_others(void) {
        const uint64_t flags[] = {
                0, FLAG(SLAB), FLAG(PGTABLE), FLAG(BUDDY), FLAG(NOPAGE), UINT64_C(1) << 32, ANON | FLAG(SLAB), ANON | FLAG(HUGE),
                ANON | FLAG(THP), ANON | FLAG(COMPOUND_TAIL), ANON | FLAG(ZERO_PAGE), ANON | UINT64_C(1) << 32,
        };
        uint64_t n;

        for (size_t i = 0; i < ELEMENTSOF(flags); i++)
                CHECK_INT(page_frame_judge(flags[i], 1, 9, &n), PAGE_FRAME_OTHER);
}

static void test_poisoned(void) {
        uint64_t n;

        CHECK_INT(page_frame_judge(FLAG(HWPOISON), 0, 1, &n), PAGE_FRAME_POISONED);
        CHECK_INT(n, 0);
        CHECK_INT(page_frame_judge(ANON | FLAG(HWPOISON), 0, 3, &n), PAGE_FRAME_POISONED);
        CHECK_INT(n, 2);
}

static void test_keep(void) {
        uint64_t first[] = { 1, 3, 5, 7 }, second[] = { 0, 3, 4, 7, 9 };
        PinnedPages a = { .addresses = first, .n = 4 }, b = { .addresses = second, .n = 5 }, none = { 0 };

        pinned_pages_keep(&a, &b);
        CHECK_INT(a.n, 2);
        CHECK_INT(a.addresses[0], 3);
        CHECK_INT(a.addresses[1], 7);
        pinned_pages_keep(&a, &none);
        CHECK_INT(a.n, 0);
}

int main(void) {
        test_users();
        test_others();
        test_poisoned();
        test_keep();
        return 0;
}
