/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "base/parse.h"
#include "tests/unit/test.h"

static void test_u64(void) {
        static const struct {
                const char *text;
                int r;
                uint64_t value;
        } cases[] = {
                { "0", 0, 0 },
                { "17", 0, 17 },
                { "010", 0, 10 }, /* not octal */
                { "0x10", 0, 16 },
                { "0xffffffffffffffff", 0, UINT64_MAX },
                { "18446744073709551615", 0, UINT64_MAX },
                { "18446744073709551616", -ERANGE, 0 },
                { "0x10000000000000000", -ERANGE, 0 },
                { "", -EINVAL, 0 },
                { "0x", -EINVAL, 0 },
                { "-1", -EINVAL, 0 },
                { "+1", -EINVAL, 0 },
                { " 1", -EINVAL, 0 },
                { "1 ", -EINVAL, 0 },
                { "1\n", -EINVAL, 0 },
                { "f", -EINVAL, 0 },
                { "1f", -EINVAL, 0 },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                uint64_t v = 4711;
                int r = parse_u64(cases[i].text, &v);
                if (r != cases[i].r)
                        fprintf(stderr, "'%s':\n", cases[i].text);
                CHECK_INT(r, cases[i].r);
                CHECK(v == (r < 0 ? 4711 : cases[i].value));
        }
}

static void test_hex(void) {
        uint64_t v = 0;

        CHECK_INT(parse_hex("8000000", &v), 0);
        CHECK_INT(v, 0x8000000);
        CHECK_INT(parse_hex("0xFf", &v), 0);
        CHECK_INT(v, 0xff);
        CHECK_INT(parse_hex("g", &v), -EINVAL);
        CHECK_INT(parse_hex("", &v), -EINVAL);
}

static void test_bool(void) {
        bool b = false;

        CHECK_INT(parse_bool("yes", &b), 0);
        CHECK(b);
        CHECK_INT(parse_bool("off", &b), 0);
        CHECK(!b);
        CHECK_INT(parse_bool("Yes", &b), -EINVAL);
        CHECK_INT(parse_bool("", &b), -EINVAL);
}

static void test_bdf(void) {
        static const char *const wrong[] = {
                "", "0d:00", "0d:00.", "0d:00.00", "0d-00.0", "000:0d:00.0", "0000:0d:00.0 ", "0000:0d:00.g", "000000:0d:00.0",
        };
        bool has_domain = false;

        for (size_t i = 0; i < ELEMENTSOF(wrong); i++) {
                _cleanup_free_ char *bdf = NULL;
                int r = parse_bdf(wrong[i], &bdf, &has_domain);
                if (r != -EINVAL)
                        fprintf(stderr, "'%s':\n", wrong[i]);
                CHECK_INT(r, -EINVAL);
                CHECK_STR(bdf, NULL);
        }

        _cleanup_free_ char *full = NULL, *brief = NULL, *vmd = NULL;
        CHECK_INT(parse_bdf("0000:0D:1F.7", &full, &has_domain), 0);
        CHECK_STR(full, "0000:0d:1f.7");
        CHECK(has_domain);
        CHECK_INT(parse_bdf("0D:00.0", &brief, &has_domain), 0);
        CHECK_STR(brief, "0d:00.0");
        CHECK(!has_domain);
        CHECK_INT(parse_bdf("10000:01:00.0", &vmd, &has_domain), 0);
        CHECK_STR(vmd, "10000:01:00.0");
        CHECK(has_domain);
}

int main(void) {
        test_u64();
        test_hex();
        test_bool();
        test_bdf();
        return EXIT_SUCCESS;
}
