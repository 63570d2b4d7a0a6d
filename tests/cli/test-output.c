/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/util.h"
#include "cli/text/output.h"
#include "check.h"

/* Names of processes end up on an operator's terminal: nothing in them may steer it. */
static void test_printable(void) {
        char escape[] = "a\033[2Jb", lines[] = "a\nb\tc", c1[] = "a\xc2\x9b" "2Jb", del[] = "a\x7f";
        char fine[] = "h\xc3\xa4rte \xe2\x82\xac";

        utf8_make_printable(escape);
        CHECK_STR(escape, "a?[2Jb");
        utf8_make_printable(lines);
        CHECK_STR(lines, "a b c");
        utf8_make_printable(c1);
        CHECK_STR(c1, "a??2Jb");
        utf8_make_printable(del);
        CHECK_STR(del, "a?");
        utf8_make_printable(fine);
        CHECK_STR(fine, "h\xc3\xa4rte \xe2\x82\xac");
}

static void test_printable_tree(void) {
        const char *text = "{\"a\": [\"x\\u001b[0m\", {\"b\": \"\\u0007\"}], \"n\": 1}";
        _cleanup_json_ json_object *o = NULL;

        CHECK_INT(json_parse(text, strlen(text), &o), 0);
        json_make_printable(o);
        CHECK_STR(json_text(o), "{\"a\":[\"x?[0m\",{\"b\":\"?\"}],\"n\":1}");
}

int main(void) {
        test_printable();
        test_printable_tree();
        return 0;
}
