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

/* Only what says nothing of memory, of CXL or PCI, or of the card, may be put aside by anybody. */
static void test_unrelated(void) {
        static const char *const unrelated[] = {
                "INFO: task writer:812 blocked for more than 120 seconds.",
                "WARNING: CPU: 1 PID: 9 at net/ipv4/tcp.c:12 tcp_recvmsg+0x1/0x2",
                "watchdog: BUG: soft lockup - CPU#0 stuck for 22s! [cc1:99]",
        };
        static const char *const never[] = {
                "BUG: unable to handle page fault for address: ffffa3c5c0a00000", "Oops: 0000 [#1] PREEMPT SMP NOPTI",
                "WARNING: CPU: 0 PID: 1 at drivers/cxl/core/region.c:229 cxl_region_decode_reset+0x1/0x2",
                "WARNING: CPU: 0 PID: 1 at mm/page_alloc.c:12 get_page+0x1/0x2", "BUG: Bad page state in process cc1",
                "list_del corruption, ffff8880 is NULL", "refcount_t: underflow; use-after-free.",
                "INFO: task kworker/u4:pciehp blocked for more than 120 seconds.",
                "removing memory fails, because memory [0x490000000-0x497ffffff] is onlined",
                "WARNING: CPU: 1 PID: 9 at fs/odd.c:12 of widget7+0x1/0x2",
        };
        _cleanup_json_ json_object *names = json_object_new_array();

        json_append_str(names, "widget7");
        for (size_t i = 0; i < ELEMENTSOF(unrelated); i++)
                CHECK(kmsg_is_trouble(unrelated[i]) && kmsg_is_unrelated(unrelated[i], names));
        for (size_t i = 0; i < ELEMENTSOF(never); i++) {
                if (kmsg_is_unrelated(never[i], names))
                        fprintf(stderr, "'%s':\n", never[i]);
                CHECK(!kmsg_is_unrelated(never[i], names));
        }
}

/* What has happened before on the same stack is none of the callers. */
static void test_frames(void) {
        static const char *const callers[] = { " offline_pages+0x1/0x2", " kmem_cache_free+0x1/0x2", " cxl_mem_probe+0x1/0x2 [cxl_mem]" };
        static const char *const others[] = { " ? kmem_cache_free+0x1/0x2", " ? __pfx_offline_pages+0x1/0x2", "? pci_read+0x1/0x2",
                " percpu_rwsem_wait+0x1/0x2", "Modules linked in: cxl_mem nvme" };

        for (size_t i = 0; i < ELEMENTSOF(callers); i++)
                CHECK(kmsg_is_related(callers[i], NULL));
        for (size_t i = 0; i < ELEMENTSOF(others); i++)
                CHECK(!kmsg_is_related(others[i], NULL));
}

int main(void) {
        test_frames();
        test_unrelated();
        test_trouble();
        test_no_trouble();
        return EXIT_SUCCESS;
}
