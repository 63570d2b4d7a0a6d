/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel/block/dm-table.h"
#include "tests/unit/test.h"

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

static void check_fate(const char *table, bool volume, DmFate want, const char *want_type) {
        _cleanup_free_ char *type = NULL;

        CHECK_INT(dm_table_fate(table, volume, &type), want);
        CHECK_STR(type, want_type);
}

static void test_fate(void) {
        check_fate("0 8 crypt aes-xts-plain64 000 0 259:1 0", false, DM_NEEDS_KEY, NULL);
        check_fate("0 8 linear 259:1 0\n8 8 crypt aes :64:logon:x 0 259:1 0", false, DM_NEEDS_KEY, NULL);
        check_fate("0 8 linear 259:1 0\n", false, DM_COMES_BACK, NULL);
        check_fate("0 8 cryptic 259:1 0", false, DM_NOT_KNOWN, "cryptic");
        check_fate("0 8 crypt aes 0 0 259:1 0\n8 8 era 259:1 259:2 8", false, DM_NOT_KNOWN, "era");
        /* What the kernel keeps of it in its memory alone. */
        check_fate("0 8 snapshot 254:0 254:1 P 8", false, DM_COMES_BACK, NULL);
        check_fate("0 8 snapshot 254:0 254:1 PO 8 1 discard_zeroes_cow", false, DM_COMES_BACK, NULL);
        check_fate("0 8 snapshot 254:0 254:1 N 8", false, DM_NOT_KNOWN, "snapshot: what was written to it is in the kernel's memory alone");
        check_fate("0 8 snapshot-merge 254:0 254:1 PX 8", true, DM_NOT_KNOWN, "snapshot-merge: what was written to it is in the kernel's memory alone");
        check_fate("0 8 snapshot 254:0", false, DM_NOT_KNOWN, "snapshot: what was written to it is in the kernel's memory alone");
        check_fate("0 8 snapshot-origin 254:0", false, DM_COMES_BACK, NULL);
        check_fate("0 8 raid raid1 3 0 region_size 4096 2 8:0 8:1 8:32 8:33", false, DM_COMES_BACK, NULL);
        check_fate("0 8 raid raid0 1 64 2 - 8:1 - 8:33", false, DM_COMES_BACK, NULL);
        check_fate("0 8 raid raid1 1 0 2 8:0 8:1 - -", false, DM_COMES_BACK, NULL);
        check_fate("0 8 raid raid1 1 0 2 - 8:1 - 8:33", false, DM_NOT_KNOWN, "raid: which of its legs are up to date is in the kernel's memory alone");
        check_fate("0 8 raid", false, DM_NOT_KNOWN, "raid: which of its legs are up to date is in the kernel's memory alone");
        check_fate("0 8 verity 1 8:0 8:1 4096 4096 1 1 sha256 aa bb", false, DM_COMES_BACK, NULL);
        check_fate("0 8 verity 1 8:0 8:1 4096 4096 1 1 sha256 aa bb 2 root_hash_sig_key_desc x", false, DM_NOT_KNOWN,
                   "verity: its root hash has a signature, which is not in the keyring any more");

        check_fate("0 8 vdo V4 259:1 1", true, DM_COMES_BACK, NULL);
        check_fate("0 8 vdo V4 259:1 1", false, DM_NOT_KNOWN, "vdo");
        check_fate("what is this", false, DM_NOT_KNOWN, "");
        check_fate("", false, DM_COMES_BACK, NULL);
}

static void test_concise(void) {
        _cleanup_free_ char *got = dm_table_concise("a,b", "u;\\", true, "0 8 linear 1:2 0\n8 8 error");

        CHECK_STR(got, "a\\,b,u\\;\\\\,,ro,0 8 linear 1:2 0,8 8 error");
}

int main(void) {
        test_translate();
        test_fate();
        test_concise();
        return EXIT_SUCCESS;
}
