/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who has ranges of user numbers is one user with all of them, and with his own number. */
#include <errno.h>

#include "base/fileio.h"
#include "daemon/caller/sub-uid.h"
#include "daemon/worker/sub-uid.h"
#include "tests/unit/test.h"

static char *path, *passwd;

/* What the worker says, and what the daemon makes of it. */
static uint32_t user_of(uint32_t uid) {
        _cleanup_json_ json_object *list = NULL;

        CHECK_INT(sub_uid_ranges(&list), 0);
        CHECK_INT(sub_uid_take(list), 0);
        return sub_uid_user(uid);
}

static void write_ranges(const char *text) {
        CHECK_INT(write_file_durably(path, text), 0);
}

static void test_ranges(void) {
        write_ranges("me:100000:65536\n1001:165536:65536\nme:400000:10\n");
        CHECK_INT(user_of(0), 0);
        CHECK_INT(user_of(1000), 1000);
        CHECK_INT(user_of(1001), 1001);
        CHECK_INT(user_of(99999), 99999);
        CHECK_INT(user_of(100000), 100000);
        CHECK_INT(user_of(165535), 100000);
        CHECK_INT(user_of(165536), 1001);
        CHECK_INT(user_of(231071), 1001);
        CHECK_INT(user_of(231072), 231072);
        CHECK_INT(user_of(400000), 100000);
        CHECK_INT(user_of(400009), 100000);
        CHECK_INT(user_of(400010), 400010);
}

/* All that one person can call under is one, by whatever name the file has him. Root is nobody's other number. */
static void test_persons(void) {
        CHECK_INT(write_file_durably(passwd, "root:x:0:0::/:/bin/sh\nalice:x:1000:1000::/:/bin/sh\nbob:x:1002:1002::/:/bin/sh\n"
                                             "broken\ncarol:x:100000:1::/:/bin/sh\n"), 0);
        write_ranges("alice:100000:65536\nbob:200000:10\nroot:300000:10\nalice:400000:10\n1002:500000:10\nnobody-knows:600000:10\n"
                     "root:700000:10\ndave:0:1\n");
        static const struct { uint32_t uid, user; } want[] = {
                { 0, 0 }, { 1000, 1000 }, { 100000, 1000 }, { 165535, 1000 }, { 400009, 1000 },
                { 1002, 1002 }, { 200009, 1002 }, { 500000, 1002 },
                { 300005, 300000 }, { 700005, 300000 }, { 600009, 600000 }, { 1001, 1001 },
        };
        for (size_t i = 0; i < ELEMENTSOF(want); i++)
                CHECK_INT(user_of(want[i].uid), want[i].user);
        /* Who may be somebody else may also be whatever that one may be. */
        write_ranges("alice:100000:65536\nbob:1000:5\n");
        CHECK_INT(user_of(1002), user_of(100001));
        CHECK_INT(user_of(1002), 1000);
        /* The name is known later. */
        write_ranges("erin:100:10\n");
        CHECK_INT(user_of(105), 100);
        CHECK_INT(write_file_durably(passwd, "erin:x:2000:2000::/:/bin/sh\n"), 0);
        CHECK_INT(user_of(105), 2000);
        CHECK_INT(unlink(passwd), 0);
        CHECK_INT(user_of(105), 100);
}

/* In no order, over each other, without a line end. */
static void test_overlap(void) {
        write_ranges("c:300:100\na:100:100\nb:150:200\nd:150:10");
        CHECK_INT(user_of(99), 99);
        CHECK_INT(user_of(155), 100);
        CHECK_INT(user_of(349), 100);
        CHECK_INT(user_of(399), 100);
        CHECK_INT(user_of(400), 400);
}

static void test_rubbish(void) {
        write_ranges("\n:\n::\na:1\na:x:5\na:5:x\na:7:0\na:-1:5\na:4294967290:100\na:99999999999999999999:1\n# a:1:9\nok:4000000000:294967295\n");
        CHECK_INT(user_of(5), 5);
        CHECK_INT(user_of(7), 7);
        CHECK_INT(user_of(4294967294), 4000000000);
        CHECK_INT(user_of(4294967295), 4294967295);
}

static void test_gone(void) {
        write_ranges("a:100:100\n");
        CHECK_INT(user_of(150), 100);
        CHECK_INT(unlink(path), 0);
        CHECK_INT(user_of(150), 150);
}

/* What cannot be read, or has no end, says nothing, and what was known stays. */
static void test_unread(void) {
        json_object *list = NULL;

        write_ranges("a:100:100\n");
        CHECK_INT(user_of(150), 100);
        CHECK_INT(setenv("SAFE_REMOVE_SUBUID", "/dev/zero", true), 0);
        CHECK_INT(sub_uid_ranges(&list), -EFBIG);
        CHECK_INT(setenv("SAFE_REMOVE_SUBUID", "/", true), 0);
        CHECK_INT(sub_uid_ranges(&list), -EISDIR);
        CHECK_INT(sub_uid_user(150), 100);
        CHECK_INT(setenv("SAFE_REMOVE_SUBUID", path, true), 0);
        CHECK_INT(setenv("SAFE_REMOVE_PASSWD", "/dev/zero", true), 0); /* then no name has a number */
        CHECK_INT(user_of(150), 100);
        CHECK_INT(setenv("SAFE_REMOVE_PASSWD", passwd, true), 0);
        CHECK_INT(unlink(path), 0);
}

int main(void) {
        char folder[] = "/tmp/safe-remove-test-XXXXXX";

        CHECK(mkdtemp(folder));
        path = strf("%s/subuid", folder);
        passwd = strf("%s/passwd", folder);
        CHECK_INT(setenv("SAFE_REMOVE_SUBUID", path, true), 0);
        CHECK_INT(setenv("SAFE_REMOVE_PASSWD", passwd, true), 0);
        test_ranges();
        test_persons();
        test_overlap();
        test_rubbish();
        test_gone();
        test_unread();
        sub_uid_end();
        CHECK_INT(rmdir(folder), 0);
        free(path);
        free(passwd);
        return 0;
}
