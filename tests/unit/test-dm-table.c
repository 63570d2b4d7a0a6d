/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel/dm-table.h"
#include "test.h"

static char *to_x(const char *number, void *userdata) {
        ++*(int *) userdata;
        return streq(number, "259:1") ? strdup("8:16") : NULL;
}

static void translated(const char *table, const char *want, int want_asked) {
        int asked = 0;
        _cleanup_free_ char *got = dm_table_translate(table, to_x, &asked);

        CHECK_STR(got, want);
        CHECK_INT(asked, want_asked);
}

static void test_translate(void) {
        translated("0 2048 linear 259:1 4096", "0 2048 linear 8:16 4096", 1);
        translated("0 8 linear 259:1 0\n8 8 linear 259:2 0\n", "0 8 linear 8:16 0\n8 8 linear 259:2 0\n", 2);
        translated("0 8 mirror core 1 1024 2 259:1 0 259:1 8", "0 8 mirror core 1 1024 2 8:16 0 8:16 8", 2);
        /* What only looks like it. */
        translated("0 8 crypt aes :64:logon:x:259:1 0 259:1:2 0", "0 8 crypt aes :64:logon:x:259:1 0 259:1:2 0", 0);
        translated("", "", 0);
}

static void test_crypt(void) {
        CHECK(dm_table_hides_key("0 8 crypt aes-xts-plain64 000 0 259:1 0"));
        CHECK(dm_table_hides_key("0 8 linear 259:1 0\n8 8 crypt aes :64:logon:x 0 259:1 0"));
        CHECK(!dm_table_hides_key("0 8 linear 259:1 0"));
        CHECK(!dm_table_hides_key("0 8 cryptic 259:1 0"));
        CHECK(!dm_table_hides_key(""));
}

static void test_concise(void) {
        _cleanup_free_ char *got = dm_table_concise("a,b", "u;\\", true, "0 8 linear 1:2 0\n8 8 error");

        CHECK_STR(got, "a\\,b,u\\;\\\\,,ro,0 8 linear 1:2 0,8 8 error");
}

int main(void) {
        test_translate();
        test_crypt();
        test_concise();
        return EXIT_SUCCESS;
}
