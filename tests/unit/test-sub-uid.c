/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who has a range of user numbers is one user with all of them. */
#include "daemon/sub-uid.h"
#include "base/fileio.h"
#include "test.h"

static char *path;

static void write_ranges(const char *text) {
        CHECK_INT(write_file_durably(path, text), 0);
}

static void test_ranges(void) {
        write_ranges("me:100000:65536\n1001:165536:65536\nme:400000:10\n");
        CHECK_INT(sub_uid_user(0), 0);
        CHECK_INT(sub_uid_user(1000), 1000);
        CHECK_INT(sub_uid_user(99999), 99999);
        CHECK_INT(sub_uid_user(100000), 100000);
        CHECK_INT(sub_uid_user(165535), 100000);
        CHECK_INT(sub_uid_user(165536), 165536);
        CHECK_INT(sub_uid_user(231071), 165536);
        CHECK_INT(sub_uid_user(231072), 231072);
        CHECK_INT(sub_uid_user(400009), 400000);
        CHECK_INT(sub_uid_user(400010), 400010);
}

/* In no order, over each other, without a line end. */
static void test_overlap(void) {
        write_ranges("c:300:100\na:100:100\nb:150:200\nd:150:10");
        CHECK_INT(sub_uid_user(99), 99);
        CHECK_INT(sub_uid_user(155), 100);
        CHECK_INT(sub_uid_user(349), 100);
        CHECK_INT(sub_uid_user(399), 100);
        CHECK_INT(sub_uid_user(400), 400);
}

static void test_rubbish(void) {
        write_ranges("\n:\n::\na:1\na:x:5\na:5:x\na:7:0\na:-1:5\na:4294967290:100\na:99999999999999999999:1\n# a:1:9\nok:4000000000:294967295\n");
        CHECK_INT(sub_uid_user(5), 5);
        CHECK_INT(sub_uid_user(7), 7);
        CHECK_INT(sub_uid_user(4294967294), 4000000000);
        CHECK_INT(sub_uid_user(4294967295), 4294967295);
}

static void test_gone(void) {
        write_ranges("a:100:100\n");
        CHECK_INT(sub_uid_user(150), 100);
        CHECK_INT(unlink(path), 0);
        CHECK_INT(sub_uid_user(150), 150);
}

int main(void) {
        char folder[] = "/tmp/safe-remove-test-XXXXXX";

        CHECK(mkdtemp(folder));
        path = strf("%s/subuid", folder);
        CHECK_INT(setenv("SAFE_REMOVE_SUBUID", path, true), 0);
        test_ranges();
        test_overlap();
        test_rubbish();
        test_gone();
        CHECK_INT(rmdir(folder), 0);
        free(path);
        return 0;
}
