/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/span.h"
#include "tests/unit/test.h"

static void test_ends(void) {
        CHECK_INT(span_last(0x1000, 0x1000), 0x1fff);
        CHECK_INT(span_last(0, 1), 0);
        CHECK(span_last(UINT64_MAX, 1) == UINT64_MAX);
        CHECK(span_last(UINT64_MAX - 1, 3) == UINT64_MAX); /* beyond the last address there is none */
        CHECK_INT(span_size(0x1000, 0x1fff), 0x1000);
        CHECK(span_size(0, UINT64_MAX) == UINT64_MAX);
}

static void test_overlaps(void) {
        CHECK(span_overlaps(0x1000, 0x1000, 0x1fff, 1));
        CHECK(!span_overlaps(0x1000, 0x1000, 0x2000, 1));
        CHECK(span_overlaps(0x1fff, 1, 0x1000, 0x1000));
        CHECK(!span_overlaps(0x2000, 1, 0x1000, 0x1000));
        CHECK(!span_overlaps(0x1000, 0, 0x1000, 0x1000));
        CHECK(!span_overlaps(0x1000, 0x1000, 0x1800, 0));
        /* At the end of the address space, where start + size is 0. */
        CHECK(span_overlaps(UINT64_MAX - 0xfff, 0x1000, UINT64_MAX, 1));
        CHECK(!span_overlaps(UINT64_MAX - 0xfff, 0x1000, 0, 1));
        CHECK(!span_overlaps(0, 0x1000, UINT64_MAX - 0xfff, UINT64_MAX));
        CHECK(span_overlaps(0, UINT64_MAX, 0x1000, 1));
}

static void test_within(void) {
        CHECK(span_within(0x1000, 0x1000, 0x1000, 0x1000));
        CHECK(!span_within(0xfff, 0x1000, 0x1000, 0x1000));
        CHECK(!span_within(0x1001, 0x1000, 0x1000, 0x1000));
        CHECK(!span_within(0x1000, 0, 0x1000, 0x1000));
        CHECK(!span_within(0x1000, 1, 0x1000, 0));
        CHECK(span_within(UINT64_MAX - 0xfff, 0x1000, UINT64_MAX - 0x1fff, 0x2000));
        CHECK(!span_within(0x1000, UINT64_MAX, 0x1000, 0x1000)); /* the end does not come round to before the beginning */
        CHECK(span_within(0, UINT64_MAX, 0, UINT64_MAX));
}

int main(void) {
        test_ends();
        test_overlaps();
        test_within();
        return EXIT_SUCCESS;
}
