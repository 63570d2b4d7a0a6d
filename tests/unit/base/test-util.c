/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <ctype.h>
#include <errno.h>
#include <wchar.h>

#include "base/clock.h"
#include "base/strtab.h"
#include "base/util.h"
#include "tests/unit/test.h"

typedef enum Fruit {
        FRUIT_APPLE,
        FRUIT_UNNAMED,
        FRUIT_PEAR,
        _FRUIT_MAX,
} Fruit;

DECLARE_STRING_TABLE(fruit, Fruit);

static const char *const fruit_table[_FRUIT_MAX] = {
        [FRUIT_APPLE] = "apple",
        [FRUIT_PEAR] = "pear",
};

DEFINE_STRING_TABLE(fruit, Fruit)

static void test_strings(void) {
        CHECK_STR(startswith("memory12", "memory"), "12");
        CHECK_STR(startswith("mem", "memory"), NULL);
        CHECK(streq_ptr(NULL, NULL));
        CHECK(!streq_ptr("a", NULL));
        CHECK(streq_ptr("a", "a"));

        _cleanup_free_ char *s = strf("%s-%d", "x", 7);
        CHECK_STR(s, "x-7");
}

static void test_nearest(void) {
        static const struct {
                const char *word;
                int more;
        } verbs[] = { { "remove", 1 }, { "restore", 2 }, { NULL, 0 }, { "list", 3 }, { "history", 4 } };
        static const char *const keys[] = { "GraceSec", "OfflineTimeoutSec", "WriteTimeoutSec", "Restore" };
        static const struct {
                const char *text, *verb, *key;
        } cases[] = {
                { "remvoe", "remove", NULL }, { "retsore", "restore", "Restore" }, { "lst", "list", NULL }, { "hist", "history", NULL },
                { "grace_sec", NULL, "GraceSec" }, { "GRACESEC", NULL, "GraceSec" }, { "GraceMSec", NULL, "GraceSec" },
                { "OfflineTimoutSecs", NULL, "OfflineTimeoutSec" }, { "x", NULL, NULL }, { "", NULL, NULL }, { "unplug", NULL, NULL },
                { "a text that is far longer than any word could be", NULL, NULL },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                CHECK_STR(text_nearest(cases[i].text, verbs, ELEMENTSOF(verbs), sizeof(verbs[0])), cases[i].verb);
                CHECK_STR(text_nearest(cases[i].text, keys, ELEMENTSOF(keys), sizeof(keys[0])), cases[i].key);
        }
        CHECK_STR(text_nearest("remove", NULL, 0, sizeof(keys[0])), NULL);
}

static void test_text(void) {
        _cleanup_free_ char *text = NULL, *empty = strdup("");

        CHECK_INT(text_add(&text, ", ", "%s", "a"), 0);
        CHECK_STR(text, "a");
        CHECK_INT(text_add(&text, ", ", "%s-%d", "b", 7), 0);
        CHECK_STR(text, "a, b-7");
        CHECK_INT(text_add(&text, "; ", "again %s", text), 0); /* itself */
        CHECK_STR(text, "a, b-7; again a, b-7");

        /* What says nothing needs no separator after it. */
        CHECK_INT(text_add(&empty, ", ", "%s", ""), 0);
        CHECK_STR(empty, "");
        CHECK_INT(text_add(&empty, ", ", "%s", "a"), 0);
        CHECK_STR(empty, "a");

        /* This one cannot be written, as where memory is short: what was there stays. */
        CHECK_INT(text_add(&empty, ", ", "%lc", (wint_t) 0x20ac), -ENOMEM);
        CHECK_STR(empty, "a");
}

static void test_quoted(void) {
        static const char *const cases[][2] = {
                { "/mnt/card", "/mnt/card" },
                { "user@1000.service", "user@1000.service" },
                { "/mnt/my card", "'/mnt/my card'" },
                { "dev-disk-by\\x2did.mount", "'dev-disk-by\\x2did.mount'" },
                { "it's", "'it'\\''s'" },
                { "'", "''\\'''" },
                { "$(reboot)\n", "$'$(reboot)\\012'" },
                { "/mnt/caf\xe9 'x'\\1", "$'/mnt/caf\\351 \\'x\\'\\\\1'" },
                { "\xc2\x9b\x7f" "A\xc3\xa9", "$'\\302\\233\\177A\xc3\xa9'" },
                { "/mnt/caf\xc3\xa9", "'/mnt/caf\xc3\xa9'" },
                { "~", "'~'" },
                { "", "''" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_free_ char *quoted = shell_quoted(cases[i][0]);
                CHECK_STR(quoted, cases[i][1]);
        }
        CHECK(!shell_quoted(NULL));
}

static void test_table(void) {
        CHECK_STR(fruit_to_string(FRUIT_PEAR), "pear");
        CHECK_STR(fruit_to_string(_FRUIT_MAX), NULL);
        CHECK_STR(fruit_to_string((Fruit) -1), NULL);
        CHECK_INT(fruit_from_string("apple"), FRUIT_APPLE);
        CHECK_INT(fruit_from_string("plum"), -EINVAL);
        CHECK_INT(fruit_from_string(NULL), -EINVAL);
}

static void test_vector(void) {
        _cleanup_free_ int *v = NULL;
        size_t n = 0, allocated = 0;

        for (int i = 0; i < 100; i++) {
                CHECK_INT(vec_grow((void **) &v, n, &allocated, sizeof(int)), 0);
                v[n++] = i;
        }
        CHECK_INT(v[0], 0);
        CHECK_INT(v[99], 99);
        CHECK(allocated >= 100);
}

static void test_take(void) {
        _cleanup_free_ char *a = strdup("a");
        _cleanup_free_ char *b = TAKE_PTR(a);
        int fd = 5;

        CHECK(!a);
        CHECK_STR(b, "a");
        CHECK_INT(TAKE_FD(fd), 5);
        CHECK_INT(fd, -EBADF);
}

static void test_clock(void) {
        char id[33] = { 0 };
        uint64_t before = now_monotonic();

        CHECK(now_monotonic() >= before);
        CHECK(now_wall() > UINT64_C(1700000000) * USEC_PER_SEC);
        CHECK_INT(boot_id_read(id), 0);
        for (int i = 0; i < 32; i++)
                CHECK(isxdigit((unsigned char) id[i]));
        CHECK_INT(id[32], 0);
}

int main(void) {
        test_strings();
        test_nearest();
        test_text();
        test_quoted();
        test_table();
        test_vector();
        test_take();
        test_clock();
        return EXIT_SUCCESS;
}
