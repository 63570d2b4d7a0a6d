/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel/kmsg-since.h"
#include "test.h"

/* As kernels of several years say it. */
static void test_trouble(void) {
        static const char *const lines[] = {
                "BUG: unable to handle page fault for address: ffffa3c5c0a00000",
                "Oops: 0000 [#1] PREEMPT SMP NOPTI",
                "------------[ cut here ]------------",
                "WARNING: CPU: 0 PID: 1 at drivers/cxl/core/region.c:229 cxl_region_decode_reset+0x1/0x2",
                "Unable to handle kernel paging request at virtual address ffff000000",
                "list_del corruption, ffff8880 is NULL",
                "refcount_t: underflow; use-after-free.",
                "INFO: task kworker/0:1:12 blocked for more than 120 seconds.",
                "kmem dax0.0: mapping0: 0x490000000-0x4afffffff cannot be hotremoved until the next reboot",
                "removing memory fails, because memory [0x490000000-0x497ffffff] is onlined",
        };

        for (size_t i = 0; i < ELEMENTSOF(lines); i++) {
                if (!kmsg_is_trouble(lines[i]))
                        fprintf(stderr, "'%s':\n", lines[i]);
                CHECK(kmsg_is_trouble(lines[i]));
        }
}

/* What a healthy kernel says while a card goes. */
static void test_no_trouble(void) {
        static const char *const lines[] = {
                "", "safe-remove: removal 1 of slot 2 begins", "Offlined Pages 32768", "Slot(2): Button press: will power off in 5 sec",
                "pcieport 0000:0c:00.0: pciehp: Slot(2): Card not present", "migrating pfn 490000 failed ret:1 page:0000000, page dumped because: migration failure",
                "debug: everything is fine", "cxl_mem mem1: endpoint2 failed probe", "page dumped because: unmovable page",
        };

        for (size_t i = 0; i < ELEMENTSOF(lines); i++)
                CHECK(!kmsg_is_trouble(lines[i]));
}

int main(void) {
        test_trouble();
        test_no_trouble();
        return EXIT_SUCCESS;
}
