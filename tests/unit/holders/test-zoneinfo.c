/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "holders/memory/unmovable.h"
#include "tests/unit/test.h"

/* As kernel 6.12 writes it, shortened. Zone Movable begins in the middle of what zone Normal spans. */
static const char text[] =
        "Node 0, zone      DMA\n"
        "  per-node stats\n"
        "      nr_anon_pages 26620\n"
        "  pages free     104104\n"
        "        spanned  4095\n"
        "        present  3998\n"
        "        protection: (0, 2940, 2940, 2940)\n"
        "  pagesets\n"
        "    cpu: 0\n"
        "              count: 7\n"
        "              high:  437\n"
        "              batch: 31\n"
        "  vm stats threshold: 16\n"
        "  node_unreclaimable:  0\n"
        "  start_pfn:           1\n"
        "Node 1, zone   Normal\n"
        "        spanned  2000\n"
        "  pagesets\n"
        "    cpu: 0\n"
        "              count: 100\n"
        "    cpu: 1\n"
        "              count: 20\n"
        "  start_pfn:           10000\n"
        "Node 1, zone  Movable\n"
        "        spanned  500\n"
        "              count: 3\n"
        "  start_pfn:           11000\n"
        "Node 1, zone   Device\n"
        "  pages free     0\n"
        "        spanned  0\n";

static void check(uint64_t first, uint64_t n, uint64_t want) {
        uint64_t got = 4711;

        CHECK_INT(zoneinfo_cpu_pages(text, first, n, &got), 0);
        CHECK_INT(got, want);
}

static void check_rubbish(const char *rubbish) {
        uint64_t got = 4711;

        CHECK_INT(zoneinfo_cpu_pages(rubbish, 0, 1, &got), -EBADMSG);
        CHECK_INT(got, 4711);
}

int main(void) {
        check(0, 1, 0);
        check(0, 2, 7);
        check(4095, 1, 7);
        check(4096, 1, 0);
        check(10000, 10, 120);
        check(9999, 1, 0);
        check(10990, 20, 123);
        check(11999, 1, 120);
        check(12000, 1000, 0);
        check(0, UINT64_MAX, 130);
        check(UINT64_MAX, 1, 0);

        check_rubbish("    count: x\n");
        check_rubbish("    count: -1\n");
        check_rubbish("    spanned  \n");
        check_rubbish("  start_pfn: 1 2\n");
        check_rubbish(" count: 18446744073709551615\n count: 1\n");
        return EXIT_SUCCESS;
}
