/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/util.h"
#include "tests/unit/test.h"

static void test_length(void) {
        static const struct {
                const char *s;
                size_t length;
        } cases[] = {
                { "a", 1 }, { "\x7f", 1 }, { "\xc3\xa9", 2 }, { "\xdf\xbf", 2 }, { "\xe0\xa0\x80", 3 }, { "\xe2\x82\xac", 3 },
                { "\xed\x9f\xbf", 3 }, { "\xee\x80\x80", 3 }, { "\xf0\x90\x80\x80", 4 }, { "\xf4\x8f\xbf\xbf", 4 },
                { "", 0 }, { "\x80", 0 }, { "\xbf", 0 }, { "\xc3", 0 }, { "\xc3" "a", 0 }, { "\xc0\x80", 0 }, { "\xc1\xbf", 0 },
                { "\xe0\x9f\xbf", 0 }, { "\xed\xa0\x80", 0 }, { "\xe2\x82", 0 }, { "\xf0\x8f\xbf\xbf", 0 },
                { "\xf4\x90\x80\x80", 0 }, { "\xf5\x80\x80\x80", 0 }, { "\xff", 0 },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                CHECK_INT(utf8_length(cases[i].s, strlen(cases[i].s)), cases[i].length);
}

/* Every byte comes back, beside any other. */
static void test_bytes(void) {
        for (unsigned first = 1; first < 256; first++)
                for (unsigned second = 1; second < 256; second++) {
                        const char name[] = { 'x', (char) first, (char) second, 0 };
                        _cleanup_free_ char *text = utf8_from_bytes(name);

                        CHECK(text && utf8_is_valid(text, strlen(text)));
                        CHECK_INT(utf8_to_bytes(text, strlen(text)), 3);
                        CHECK_STR(text, name);
                }
}

static void test_text(void) {
        _cleanup_free_ char *text = utf8_from_bytes("\xc3\xa9\xe9\xc3");

        CHECK_STR(text, "\xc3\xa9\uf7e9\uf7c3");
        CHECK(!utf8_stands_for_byte(text) && utf8_stands_for_byte(text + 2));
        CHECK(!utf8_stands_for_byte("\uf77f") && utf8_stands_for_byte("\uf780") && utf8_stands_for_byte("\uf7ff") &&
              !utf8_stands_for_byte("\uf800") && !utf8_stands_for_byte("\xef\x9e"));
        CHECK(!utf8_is_valid("a\xff", 2) && utf8_is_valid("", 0));
}

static void test_printable(void) {
        static const char *const dirty[] = { "a\x1b", "\x7f", "\xc2\x80", "\xd8\x9c", "x\xe2\x80\x8f", "\xe2\x80\xa8", "\xe2\x80\xae", "\xe2\x81\xa6",
                "\xe2\x81\xa9" };
        static const char *const fine[] = { "", "plain", "gr\xc3\xbc\xc3\x9f", "\xd8\xb9\xd8\xb1", "\xe2\x80\x93", "\xe2\x81\xaa", "\xf0\x9f\x99\x82" };

        for (size_t i = 0; i < ELEMENTSOF(dirty); i++) {
                _cleanup_free_ char *copy = strdup(dirty[i]);
                CHECK(!utf8_is_printable(copy));
                utf8_make_printable(copy);
                CHECK(utf8_is_printable(copy) && utf8_is_valid(copy, strlen(copy)));
        }
        for (size_t i = 0; i < ELEMENTSOF(fine); i++) {
                _cleanup_free_ char *copy = strdup(fine[i]);
                CHECK(utf8_is_printable(copy));
                utf8_make_printable(copy);
                CHECK_STR(copy, fine[i]);
        }
}

int main(void) {
        test_printable();
        test_length();
        test_bytes();
        test_text();
        return EXIT_SUCCESS;
}
