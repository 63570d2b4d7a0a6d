/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/text/format.h"
#include "check.h"

#define KIB UINT64_C(1024)
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)

static void test_size(void) {
        CHECK_STR(FORMAT_SIZE(0), "0 B");
        CHECK_STR(FORMAT_SIZE(1023), "1023 B");
        CHECK_STR(FORMAT_SIZE(KIB), "1 KiB");
        CHECK_STR(FORMAT_SIZE(512 * MIB), "512 MiB");
        CHECK_STR(FORMAT_SIZE(GIB + GIB / 2), "1.5 GiB");
        /* Never rounded up. */
        CHECK_STR(FORMAT_SIZE(2 * GIB - 1), "1.9 GiB");
        CHECK_STR(FORMAT_SIZE(MIB - 1), "1023 KiB");
        CHECK_STR(FORMAT_SIZE(250 * MIB + 800 * KIB), "250 MiB");
        CHECK_STR(FORMAT_SIZE(UINT64_MAX), "15.9 EiB");
}

static void test_duration(void) {
        CHECK_STR(FORMAT_DURATION(0), "0 ms");
        CHECK_STR(FORMAT_DURATION(99999), "99 ms");
        CHECK_STR(FORMAT_DURATION(100000), "0.1 s");
        CHECK_STR(FORMAT_DURATION(9999999), "9.9 s");
        CHECK_STR(FORMAT_DURATION(10000000), "10 s");
        CHECK_STR(FORMAT_DURATION(UINT64_C(65) * 1000000), "1 min 05 s");
        CHECK_STR(FORMAT_DURATION(UINT64_C(7380) * 1000000), "2 h 03 min");
}

static void test_time(void) {
        CHECK_STR(FORMAT_TIME(0), "-");
        CHECK_STR(FORMAT_TIME(UINT64_C(1000000000) * 1000000), "2001-09-09 01:46:40");
}

static void test_width(void) {
        CHECK_INT(format_width(""), 0);
        CHECK_INT(format_width("abc"), 3);
        CHECK_INT(format_width("h\xc3\xa4rte"), 5);
}

int main(void) {
        setenv("TZ", "UTC", 1);
        test_size();
        test_duration();
        test_time();
        test_width();
        return 0;
}
