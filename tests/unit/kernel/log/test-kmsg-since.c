/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>

#include "kernel/log/kmsg-since.h"
#include "tests/unit/test.h"

/* The log of test_kept(), from its beginning on; who opens it anew begins there. */
static struct {
        const KmsgRecord *records;
        size_t n, next, opened;
        int error;              /* of the next read, which passes a record over */
} told;

int __wrap_kmsg_open(int flags);
int __wrap_kmsg_open_all(void);
int __wrap_kmsg_next(int fd, KmsgRecord *ret);

int __wrap_kmsg_open(int flags) {
        return open("/dev/null", flags | O_CLOEXEC);
}

int __wrap_kmsg_open_all(void) {
        told.next = 0;
        told.opened++;
        return __wrap_kmsg_open(O_RDONLY);
}

int __wrap_kmsg_next(int fd, KmsgRecord *ret) {
        int error = told.error;

        if (told.next >= told.n)
                return 0;
        told.error = 0;
        told.next += error < 0;
        if (error < 0)
                return error;
        *ret = told.records[told.next++];
        ret->text = strdup(ret->text);
        return 1;
}

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
                "Internal error: Oops: 96000004 [#1] SMP", "general protection fault, probably for non-canonical address 0xdead: 0000 [#1]",
                "watchdog: CPU28: Watchdog detected hard LOCKUP on cpu 28", "NMI watchdog: Watchdog detected hard LOCKUP on cpu 0",
                "watchdog: BUG: soft lockup - CPU#0 stuck for 22s! [cc1:99]", "BUG kmalloc-128 (Not tainted): Poison overwritten",
                "mce: [Hardware Error]: Machine check events logged", "kernel BUG at mm/slub.c:12!",
                "Kernel panic - not syncing: Fatal machine check", "BUG: Bad page state in process ]: segfault at   pfn:490000",
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

/* What a kernel says of what users do, with names that they choose: of processes, programs, control groups, volumes. */
static void test_forged(void) {
        static const char *const lines[] = {
                "traps: cc1[12] general protection fault ip:401126 sp:7ffd0 error:0 in a.out[1126,401000+1000]",
                "BUG: cxl[812]: segfault at 0 ip 0000000000401126 sp 00007ffd error 6 in a.out[401126,401000+1000] likely on CPU 1 (core 1, socket 0)",
                "Oops cxl[812]: segfault at 0 ip 0000000000401126 sp 00007ffd error 6", "WARNING: x[1] bad frame in rt_sigreturn frame:7ffd ip:0 sp:0 orax:0",
                "a[1]: segfault at 0 ip 0 sp 0 error 4 in Kernel panic - BUG: blocked for more than[401126,401000+1000]",
                "kernel BUG at x invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0", "Bad page: page allocation failure: order:9, mode:0xcc0",
                "BUG: (12): drop_caches: 3", "BUG:[9]: x[9]: segfault at 0 ip 0 sp 0 error 4",
                "netlink: 4 bytes leftover after parsing attributes in process `BUG: x'.", "futex_wake_op: Oops: tries to shift op by -1; fix this program",
                "x86/split lock detection: #AC: BUG: x/12 took a split_lock trap at address: 0x401126", "Memory cgroup out of memory: Killed process 12 (BUG: x)",
                "cgroup: fork rejected by pids controller in /user.slice/general protection fault/[ cut here ]",
                "UDF-fs: INFO Mounting volume 'Machine check', timestamp 2026/11/28 21:00 (1000)", "umip: [ cut here ][12] ip:401126 sp:7ffd: SGDT instruction",
                "[    812]  1000   812    77777     1234  0 200 Kernel panic", "[ cut here ][12]: segfault at 0 ip 0 sp 0 error 4",
                "audit: type=1701 audit(1:2): auid=1000 uid=1000 pid=1 comm=\"BUG:\" exe=\"/tmp/Oops\" sig=11 res=1",
        };

        for (size_t i = 0; i < ELEMENTSOF(lines); i++) {
                if (kmsg_is_trouble(lines[i]))
                        fprintf(stderr, "'%s':\n", lines[i]);
                CHECK(!kmsg_is_trouble(lines[i]));
        }
        CHECK(!kmsg_is_related("cxl_region[812]: segfault at 0 ip 0 sp 0 error 4 in pci[401126,401000+1000]", NULL));
        CHECK(!kmsg_is_related("traps: cxl_region[812] trap invalid opcode ip:0 sp:0 error:0 in pci[401126,401000+1000]", NULL));
}

/* Who hangs has chosen his name; a thread of the kernel's has the name of its work. */
static void test_who_hangs(void) {
        CHECK(!kmsg_is_related("INFO: task cxl ppid:2 mm/:812 blocked for more than 120 seconds.", NULL));
        CHECK(!kmsg_is_related("INFO: task cc1:812 is blocked on a mutex likely owned by task cxl:813.", NULL));
        CHECK(!kmsg_is_related("task:cxl ppid:2 mm/  state:D stack:0     pid:812   tgid:812   ppid:1      task_flags:0x400040 flags:0x00004002", NULL));
        CHECK(!kmsg_is_related("task:pciehp          state:D stack:0     pid:812   ppid:22     flags:0x00004002", NULL));
        CHECK(kmsg_is_related("task:irq/24-pciehp   state:D stack:0     pid:99    tgid:99    ppid:2      task_flags:0x208040 flags:0x00004000", NULL));
        CHECK(kmsg_is_related("task:kworker/0:1+cxl state:D stack:    0 pid:   99 ppid:     2 flags:0x00004000", NULL));
        CHECK(kmsg_is_related("Workqueue: pciehp pciehp_power_thread", NULL));
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

static int clean(const KmsgMark *mark, size_t n, const char *expected) {
        _cleanup_free_ char *line = NULL;

        told.n = n;
        int r = kmsg_clean_since(mark, &line);
        if (r == 0)
                CHECK_STR(line, expected);
        return r;
}

/* Who set the mark reads on from where he was, also within a complaint, and has not forgotten one. Any other begins at the beginning. */
static void test_kept(void) {
        static char texts[][64] = { "ours", "pcieport: fine", "------------[ cut here ]------------", "said by a user", "kernel BUG at x.c:1!", "fine" };
        static const KmsgRecord records[] = {
                { .priority = 14, .sequence = 7, .text = texts[0] }, { .priority = 6, .sequence = 8, .text = texts[1] },
                { .priority = 4, .sequence = 9, .text = texts[2] }, { .priority = 12, .sequence = 10, .text = texts[3] },
                { .priority = 2, .sequence = 11, .text = texts[4] }, { .priority = 6, .sequence = 12, .text = texts[5] },
        };
        KmsgMark mark, other;

        told.records = records;
        told.n = 1;
        told.next = told.opened = 0;
        CHECK_INT(kmsg_mark("ours", &mark), 0);
        CHECK_INT(mark.sequence, 7);
        CHECK_INT(clean(&mark, 1, NULL), 1);
        CHECK_INT(clean(&mark, 2, NULL), 1);
        CHECK_INT(clean(&mark, 4, texts[2]), 0);
        CHECK_INT(clean(&mark, 6, texts[4]), 0);
        CHECK_INT(clean(&mark, 6, texts[4]), 0);
        CHECK_INT(told.opened, 0);

        other = (KmsgMark) { .sequence = 12, .taint = mark.taint };
        CHECK_INT(clean(&other, 6, NULL), 1);
        CHECK_INT(told.opened, 1);
        other.sequence = 11;
        CHECK_INT(clean(&other, 6, texts[4]), 0);
        CHECK_INT(told.opened, 2);
}

/* Nor has he passed over what could not be read: he begins anew. */
static void test_unread(void) {
        static char texts[][64] = { "ours", "kernel BUG at x.c:1!" };
        static const KmsgRecord records[] = { { .priority = 14, .sequence = 7, .text = texts[0] }, { .priority = 2, .sequence = 8, .text = texts[1] } };
        KmsgMark mark;

        told.records = records;
        told.next = 0;
        told.n = 1;
        told.opened = 0;
        CHECK_INT(kmsg_mark("ours", &mark), 0);
        CHECK_INT(clean(&mark, 1, NULL), 1);
        told.error = -EIO;
        CHECK_INT(clean(&mark, 2, NULL), -EIO);
        CHECK_INT(clean(&mark, 2, texts[1]), 0);
        CHECK_INT(told.opened, 1);
}

int main(void) {
        test_unread();
        test_kept();
        test_frames();
        test_unrelated();
        test_trouble();
        test_forged();
        test_who_hangs();
        test_no_trouble();
        return EXIT_SUCCESS;
}
