/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "kernel/pci/pci-resource.h"
#include "tests/unit/test.h"

static void test_parse(void) {
        static const char text[] =
                "0x00000000fe600000 0x00000000fe60ffff 0x0000000000140204\n"
                "0x0000000000000000 0x0000000000000000 0x0000000000000000\n"
                "0x000000c040000000 0x000000c05fffffff 0x000000000014220c\n"
                "0x000000000000e000 0x000000000000e01f 0x0000000000040101\n"        /* ports, not memory */
                "0x00000000fe700000 0x00000000fe70ffff 0x0000000020140204\n"        /* no address given yet */
                "0x0000000000000000 0x0000000000000fff 0x0000000000040200\n"
                "0x00000000feb00000 0x00000000feb7ffff 0x000000000004e200\n";
        _cleanup_free_ PciResource *r = NULL;
        size_t n = 0;

        CHECK_INT(pci_resource_parse(text, &r, &n), 0);
        CHECK_INT(n, 3);
        CHECK_INT(r[0].index, 0);
        CHECK_INT(r[0].start, 0xfe600000);
        CHECK_INT(r[0].size, 0x10000);
        CHECK_INT(r[1].index, 2);
        CHECK_INT(r[1].start, 0xc040000000);
        CHECK_INT(r[1].size, 0x20000000);
        CHECK_INT(r[2].index, PCI_RESOURCE_ROM);
}

static void check_malformed(const char *text) {
        PciResource *r = NULL;
        size_t n = 4711;

        CHECK_INT(pci_resource_parse(text, &r, &n), -EBADMSG);
        CHECK(!r);
        CHECK_INT(n, 4711);
}

static void test_malformed(void) {
        check_malformed("0x1000 0x1fff\n");
        check_malformed("0x1000 0x1fff 0x200 0x1\n");
        check_malformed("1000 1fff 200\n");
        check_malformed("0x2000 0x1fff 0x200\n");
        check_malformed("0x1000 0x10000000000000000 0x200\n");
        check_malformed("0x1000 0x1fff 0x200\nmem\n");
}

static void test_edges(void) {
        _cleanup_free_ PciResource *r = NULL;
        size_t n = 4711;

        CHECK_INT(pci_resource_parse("", &r, &n), 0);
        CHECK_INT(n, 0);
        CHECK_INT(pci_resource_parse("0xffffffffffffffff 0xffffffffffffffff 0x200\n", &r, &n), 0);
        CHECK_INT(n, 1);
        CHECK(r[0].start == UINT64_MAX && r[0].size == 1);
}

int main(void) {
        test_parse();
        test_malformed();
        test_edges();
        return EXIT_SUCCESS;
}
