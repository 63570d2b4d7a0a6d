/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/format.h"
#include "tests/unit/test.h"

static int check(const char *text, Format f) {
        _cleanup_json_ json_object *o = NULL;

        CHECK_INT(json_parse(text, strlen(text), &o), 0);
        return format_check(o, f);
}

/* What this version writes it reads, whatever it is. */
static void test_own(void) {
        for (Format f = 0; f < _FORMAT_MAX; f++) {
                _cleanup_json_ json_object *o = json_object_new_object();

                format_set(o, f);
                CHECK_INT(format_check(o, f), 0);
                CHECK_INT(format_check(o, (f + 1) % _FORMAT_MAX), -EBADMSG);
        }
}

static void test_numbers(void) {
        CHECK_INT(check("{\"schema\": \"safe-remove/journal/1\"}", FORMAT_JOURNAL), 0);
        CHECK_INT(check("{\"schema\": \"safe-remove/journal/2\"}", FORMAT_JOURNAL), -EPROTONOSUPPORT);
        CHECK_INT(check("{\"schema\": \"safe-remove/journal/18446744073709551615\"}", FORMAT_JOURNAL), -EPROTONOSUPPORT);
        static const char *const wrong[] = { "0", "", "-1", "two", "1 ", "01x", "2.5" };
        for (size_t i = 0; i < ELEMENTSOF(wrong); i++) {
                _cleanup_free_ char *text = strf("{\"schema\": \"safe-remove/journal/%s\"}", wrong[i]);
                CHECK_INT(check(text, FORMAT_JOURNAL), -EBADMSG);
        }
        CHECK_INT(check("{\"schema\": 1}", FORMAT_JOURNAL), -EBADMSG);
        CHECK_INT(check("{\"schema\": \"safe-remove/plan/1\"}", FORMAT_JOURNAL), -EBADMSG);
}

/* From before forms had numbers; what has had one from the first version on is nothing without it. */
static void test_without(void) {
        CHECK_INT(check("{}", FORMAT_JOURNAL), 0);
        CHECK_INT(check("{}", FORMAT_HELD), 0);
        CHECK_INT(check("{}", FORMAT_LOCATED), 0);
        CHECK_INT(check("{}", FORMAT_PLAN), -EBADMSG);
        CHECK_INT(check("{}", FORMAT_CHAIN), -EBADMSG);
}

static void test_words(void) {
        CHECK(strstr(format_strerror(-EPROTONOSUPPORT), "newer version"));
        CHECK_STR(format_strerror(-ENOENT), strerror(ENOENT));
}

int main(void) {
        test_own();
        test_numbers();
        test_without();
        test_words();
        return EXIT_SUCCESS;
}
