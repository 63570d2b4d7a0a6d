/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Runs on the recorded machine "page-flags", whose /proc/kpageflags has 16 pages; three of them have no flags
 * that say anything, and one page is on a CPU's free list. */
#include <errno.h>

#include "holders/memory/unmovable.h"
#include "tests/unit/test.h"

int main(void) {
        uint64_t page = (uint64_t) sysconf(_SC_PAGESIZE);
        UnmovablePages p = { 0 };

        CHECK_INT(unmovable_pages_in_block(0, 16 * page, &p), 0);
        CHECK_INT(p.slab, 2);
        CHECK_INT(p.page_tables, 1);
        CHECK_INT(p.reserved, 1);
        CHECK_INT(p.other, 2);

        /* Only the asked-for pages: the last two are one of anonymous memory and one that may be free. */
        CHECK_INT(unmovable_pages_in_block(14 * page, 2 * page, &p), 0);
        CHECK_INT(p.slab + p.page_tables + p.reserved, 0);
        CHECK_INT(p.other, 0);

        CHECK_INT(unmovable_pages_in_block(8 * page, 16 * page, &p), -ENODATA);
        CHECK_INT(unmovable_pages_in_block(UINT64_C(1) << 40, page, &p), -ENODATA);
        return EXIT_SUCCESS;
}
