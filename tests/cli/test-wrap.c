/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/parse.h"
#include "cli/text/wrap.h"
#include "check.h"

static const struct {
        size_t columns;
        const char *text, *want;
} cases[] = {
        { 0, "as long as it is, however long that may be", "as long as it is, however long that may be" },
        { 40, "short\n\nlines\n", "short\n\nlines\n" },
        /* Exactly as wide as the terminal is not too wide. */
        { 40, "1234567890 1234567890 1234567890 1234567\n", "1234567890 1234567890 1234567890 1234567\n" },
        { 40, "  REASON  memory147 is in zone Normal and stays\n", "  REASON  memory147 is in zone Normal\n          and stays\n" },
        { 40, "a line without any columns that is too long for it", "a line without any columns that is too\n    long for it" },
        /* A column that leaves no room for a text is none to hang below. */
        { 40, "a very long first column here  and a text behind it", "a very long first column here  and a\n    text behind it" },
        /* Nor do blanks at its beginning. */
        { 40, "                         undo: write the word of its zone", "                undo: write the word of\n                its zone" },
        /* An id is never broken. */
        { 40, "digest  5f0c5f0c5f0c5f0c5f0c5f0c5f0c5f0c5f0c5f0c and more", "digest  5f0c5f0c5f0c5f0c5f0c5f0c5f0c5f0c5f0c5f0c\n        and more" },
        { 40, TEXT_AS_IT_IS "  remedy: echo online_movable > /sys/devices/system\n", "  remedy: echo online_movable > /sys/devices/system\n" },
        /* Colours take no room, a character of three bytes takes one column. */
        { 40, "\033[1;31m1234567890 1234567890 1234567890 1234567\033[0m\n", "\033[1;31m1234567890 1234567890 1234567890 1234567\033[0m\n" },
        { 40, "\u20ac234567890 1234567890 1234567890 1234567\n", "\u20ac234567890 1234567890 1234567890 1234567\n" },
};

int main(void) {
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_free_ char *got = text_wrap(cases[i].text, cases[i].columns);
                CHECK_STR(got, cases[i].want);
        }
        CHECK_INT(text_clip("\u20ac\u20ac\u20ac", 2), 6);
        CHECK_INT(text_clip("\033[1mab\033[0mc", 2), 10);
        CHECK_INT(text_clip("ab", 5), 2);

        CHECK_INT(digest_is_meant("5f0c5f0c", "5f0c5f0c1a2b"), true);
        CHECK_INT(digest_is_meant("5F0C5f0c1", "5f0c5f0c1a2b"), true);
        CHECK_INT(digest_is_meant("5f0c5f0c1a2b", "5f0c5f0c1a2b"), true);
        CHECK_INT(digest_is_meant("5f0c5f0", "5f0c5f0c1a2b"), false);
        CHECK_INT(digest_is_meant("5f0c5f0d", "5f0c5f0c1a2b"), false);
        CHECK_INT(digest_is_meant("5f0c5f0c1a2b3", "5f0c5f0c1a2b"), false);
        CHECK_INT(digest_is_meant("", "5f0c5f0c1a2b"), false);
        CHECK_INT(digest_is_meant(NULL, "5f0c5f0c1a2b"), false);
        return 0;
}
