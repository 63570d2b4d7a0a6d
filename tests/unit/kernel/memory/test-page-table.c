/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Page tables made by hand: a table at physical address N * 4096 is tables[N]; the topmost is tables[0]. */
#include <errno.h>

#include "kernel/memory/vmemmap.h"
#include "tests/unit/test.h"

#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)
#define PRESENT UINT64_C(1)
#define LARGE UINT64_C(0x80)
#define ENCRYPTED (UINT64_C(1) << 47)

/* Of the last quarter of the address space, as the kernel's are. */
#define BASE UINT64_C(0xffffea0000000000)

static uint64_t tables[6][512];
static unsigned n_reads;

static int read_entries(void *userdata, uint64_t table, unsigned first, size_t n, uint64_t *ret) {
        (void) userdata;
        uint64_t number = table == UINT64_MAX ? 0 : table / 4096;

        n_reads++;
        if (number >= ELEMENTSOF(tables))
                return -EFAULT;
        CHECK(first + n <= 512);
        memcpy(ret, tables[number] + first, n * sizeof(*ret));
        return 0;
}

static const PageTable four = { .read = read_entries, .levels = 4 };

static unsigned index_of(uint64_t address, unsigned level) {
        return (unsigned) (address >> (12 + 9 * (level - 1))) % 512;
}

/* BASE: 2 MiB at 5 GiB, 2 MiB of small pages (each one at 6 GiB and every second page), nothing, 2 MiB at 7 GiB. */
static void make(uint64_t extra) {
        memset(tables, 0, sizeof(tables));
        tables[0][index_of(BASE, 4)] = 1 * 4096 | PRESENT | extra;
        tables[1][index_of(BASE, 3)] = 2 * 4096 | PRESENT | extra;
        tables[2][index_of(BASE, 2)] = 5 * GIB | PRESENT | LARGE | extra;
        tables[2][index_of(BASE, 2) + 1] = 3 * 4096 | PRESENT | extra;
        tables[2][index_of(BASE, 2) + 3] = 7 * GIB | PRESENT | LARGE | extra;
        for (unsigned i = 0; i < 512; i += 2)
                tables[3][i] = (6 * GIB + i * 4096) | PRESENT | extra;
}

static void check(const PageTable *t, uint64_t start, uint64_t size, PhysicalArea area, uint64_t mapped, uint64_t inside) {
        uint64_t got_mapped = 4711, got_inside = 4711;

        CHECK_INT(page_table_count(t, start, size, &area, 1, &got_mapped, &got_inside), 0);
        CHECK_INT(got_mapped, mapped);
        CHECK_INT(got_inside, inside);
}

static void test_four(void) {
        make(0);
        check(&four, BASE, 8 * MIB, (PhysicalArea) { 5 * GIB, GIB }, 5 * MIB, 2 * MIB);
        check(&four, BASE, 8 * MIB, (PhysicalArea) { 6 * GIB, GIB }, 5 * MIB, MIB);
        check(&four, BASE, 8 * MIB, (PhysicalArea) { 7 * GIB, GIB }, 5 * MIB, 2 * MIB);
        check(&four, BASE, 8 * MIB, (PhysicalArea) { 5 * GIB, 3 * GIB }, 5 * MIB, 5 * MIB);
        check(&four, BASE, 8 * MIB, (PhysicalArea) { 8 * GIB, GIB }, 5 * MIB, 0);
        /* Parts: from within a large page, to within one, and of an area one byte. */
        check(&four, BASE + MIB, 64, (PhysicalArea) { 5 * GIB + MIB, 64 }, 64, 64);
        check(&four, BASE + MIB, 64, (PhysicalArea) { 5 * GIB + MIB + 64, 64 }, 64, 0);
        check(&four, BASE + 2 * MIB - 64, 128, (PhysicalArea) { 6 * GIB, 4096 }, 128, 64);
        check(&four, BASE + 6 * MIB, 2 * MIB, (PhysicalArea) { 7 * GIB + 2 * MIB - 1, 1 }, 2 * MIB, 1);
        /* Nothing is mapped there, and not one table too many is read for it. */
        n_reads = 0;
        check(&four, BASE + GIB, 64, (PhysicalArea) { 0, UINT64_MAX }, 0, 0);
        CHECK_INT(n_reads, 2);
}

static void test_five(void) {
        const PageTable five = { .read = read_entries, .levels = 5 };
        uint64_t base = UINT64_C(0xffd4000000000000);

        memset(tables, 0, sizeof(tables));
        tables[0][index_of(base, 5)] = 1 * 4096 | PRESENT;
        tables[1][index_of(base, 4)] = 2 * 4096 | PRESENT;
        tables[2][index_of(base, 3)] = 9 * GIB | PRESENT | LARGE;
        check(&five, base, 2 * GIB, (PhysicalArea) { 9 * GIB + MIB, MIB }, GIB, MIB);
}

static void test_encrypted(void) {
        const PageTable t = { .read = read_entries, .levels = 4, .not_address = ENCRYPTED };

        make(ENCRYPTED);
        check(&t, BASE, 8 * MIB, (PhysicalArea) { 5 * GIB, GIB }, 5 * MIB, 2 * MIB);
}

/* What cannot be read is not "nothing there". */
static void test_errors(void) {
        uint64_t mapped = 4711, inside = 4711;

        make(0);
        tables[2][index_of(BASE, 2) + 1] = 99 * 4096 | PRESENT;
        CHECK_INT(page_table_count(&four, BASE, 8 * MIB, NULL, 0, &mapped, &inside), -EFAULT);
        CHECK_INT(page_table_count(&four, BASE, 0, NULL, 0, &mapped, &inside), -EINVAL);
        CHECK_INT(page_table_count(&four, UINT64_MAX, 2, NULL, 0, &mapped, &inside), -EINVAL);
        CHECK_INT(mapped, 4711);
        CHECK_INT(inside, 4711);
}

int main(void) {
        test_four();
        test_five();
        test_encrypted();
        test_errors();
        return EXIT_SUCCESS;
}
