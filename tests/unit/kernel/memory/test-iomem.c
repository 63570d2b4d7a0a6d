/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "kernel/memory/iomem.h"
#include "tests/unit/test.h"

#define HPA UINT64_C(0x490000000)
#define SIZE UINT64_C(0x20000000)

static const char in_use[] =
        "00000000-00000fff : Reserved\n"
        "100000000-13fffffff : System RAM\n"
        "  129800000-12a7fffff : Kernel code\n"
        "490000000-58fffffff : CXL Window 0\n"
        "  490000000-4afffffff : region0\n"
        "    490000000-4afffffff : dax0.0\n"
        "      490000000-4afffffff : System RAM (kmem)\n"
        "590000000-68fffffff : CXL Window 1\n";

static const char idle[] =
        "80000000-afffffff : PCI Bus 0000:00\n"
        "400000000-7ffffffff : PCI Bus 0000:0c\n"
        "  490000000-58fffffff : CXL Window 0\n"
        "    490000000-4afffffff : Soft Reserved\n";

static int parse(const char *text, Iomem **ret) {
        *ret = NULL;
        return iomem_parse(text, ret);
}

static void test_parse(void) {
        _cleanup_(iomem_freep) Iomem *m = NULL;

        CHECK_INT(parse(in_use, &m), 0);
        CHECK_INT(m->n_ranges, 8);
        CHECK_INT(m->ranges[0].start, 0);
        CHECK_INT(m->ranges[0].end, 0xfff);
        CHECK_STR(m->ranges[0].name, "Reserved");
        CHECK_INT(m->ranges[6].depth, 3);
        CHECK_INT(m->ranges[6].start, HPA);
        CHECK_INT(m->ranges[6].end, HPA + SIZE - 1);
        CHECK_STR(m->ranges[6].name, "System RAM (kmem)");
}

static void test_malformed(void) {
        static const char *const wrong[] = {
                "",
                "\n",
                "rubbish\n",
                "00000000-00000fff\n",
                "00000000-00000fff: Reserved\n",
                "00000000 00000fff : Reserved\n",
                "00001000-00000fff : Reserved\n",
                " 00000000-00000fff : Reserved\n",
                "-00000fff : Reserved\n",
                "00000000-00000000000000fff : Reserved\n",
                "0000x000-00000fff : Reserved\n",
                "00000000-00000fff : Reserved\n\n",
                "                            00000000-00000fff : Reserved\n",
        };

        for (size_t i = 0; i < ELEMENTSOF(wrong); i++) {
                Iomem *m = NULL;
                int r = iomem_parse(wrong[i], &m);
                if (r != -EBADMSG)
                        fprintf(stderr, "'%s':\n", wrong[i]);
                CHECK_INT(r, -EBADMSG);
                CHECK(!m);
        }
}

/* What an unprivileged reader sees is not an empty machine. */
static void test_unprivileged(void) {
        Iomem *m = NULL;

        CHECK_INT(iomem_parse("00000000-00000000 : Reserved\n00000000-00000000 : System RAM\n", &m), -EPERM);
        CHECK(!m);
}

static void test_leftover(void) {
        _cleanup_(iomem_freep) Iomem *used = NULL, *free_ = NULL;

        CHECK_INT(parse(in_use, &used), 0);
        CHECK_INT(parse(idle, &free_), 0);

        const IomemRange *left = iomem_find_leftover(used, HPA, SIZE);
        CHECK(left);
        CHECK_STR(left->name, "region0");

        /* The very first and the very last byte count, their neighbours do not. */
        CHECK(iomem_find_leftover(used, HPA + SIZE - 1, 1));
        CHECK(!iomem_find_leftover(used, HPA + SIZE, SIZE));
        CHECK(iomem_find_leftover(used, HPA - 1, 2));
        CHECK(!iomem_find_leftover(used, HPA - 1, 1));
        CHECK(!iomem_find_leftover(used, HPA, 0));
        CHECK(iomem_find_leftover(used, HPA, UINT64_MAX));

        CHECK(!iomem_find_leftover(free_, HPA, SIZE));
}

/* Everything that is not a window is left over, also below one that was called like a window by chance. */
static void test_strange_names(void) {
        _cleanup_(iomem_freep) Iomem *m = NULL;

        CHECK_INT(parse("490000000-58fffffff : CXL Window 0\n  490000000-4900fffff : <BAD>\n", &m), 0);
        CHECK(iomem_find_leftover(m, HPA, SIZE));
        CHECK_STR(iomem_find_leftover(m, HPA, SIZE)->name, "<BAD>");
}

/* What the firmware says of addresses is no use of them; what a region says, it says for as long as it is there. */
static void test_descriptions(void) {
        _cleanup_(iomem_freep) Iomem *m = NULL;

        CHECK_INT(parse("140000000-14fffffff : Persistent Memory\n  140000000-147ffffff : namespace2.0\n150000000-15fffffff : Reserved\n"
                        "490000000-58fffffff : CXL Window 0\n  490000000-4afffffff : Persistent Memory\n", &m), 0);
        CHECK_STR(iomem_find_leftover(m, 0x140000000, 0x10000000)->name, "namespace2.0");
        CHECK(!iomem_find_leftover(m, 0x148000000, 0x8000000));
        CHECK(!iomem_find_leftover(m, 0x150000000, 0x10000000));
        CHECK_STR(iomem_find_leftover(m, HPA, SIZE)->name, "Persistent Memory");
}

static void test_system_ram(void) {
        _cleanup_(iomem_freep) Iomem *m = NULL;

        CHECK_INT(parse("100000000-13fffffff : System RAM\n140000000-17fffffff : virtio3\n  140000000-147ffffff : System RAM (virtio_mem)\n"
                        "  150000000-157ffffff : System RAM (virtio_mem)\n", &m), 0);
        const IomemRange *first = iomem_find_system_ram(m, 0x140000000, 0x40000000, NULL);
        CHECK(first && first->start == 0x140000000);
        const IomemRange *second = iomem_find_system_ram(m, 0x140000000, 0x40000000, first);
        CHECK(second && second->start == 0x150000000);
        CHECK(!iomem_find_system_ram(m, 0x140000000, 0x40000000, second));
        CHECK(!iomem_find_system_ram(m, 0x158000000, 0x8000000, NULL));
        CHECK(iomem_find_system_ram(m, 0x13fffffff, UINT64_MAX, NULL));
}

int main(void) {
        test_descriptions();
        test_system_ram();
        test_parse();
        test_malformed();
        test_unprivileged();
        test_leftover();
        test_strange_names();
        return EXIT_SUCCESS;
}
