/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/clock.h"
#include "daemon/caller/quota.h"
#include "tests/unit/test.h"

#define MIB (1024 * 1024)

static size_t taken(Quota *q, uint32_t uid, size_t bytes, uint64_t now) {
        size_t n = 0;

        while (quota_take(q, uid, bytes, now))
                n++;
        return n;
}

static void test_store(void) {
        Quota *q;

        CHECK(quota_new(&q) >= 0);
        CHECK_INT(taken(q, 1, 64 * 1024, 0), 32);
        CHECK_INT(taken(q, 2, 64 * 1024, 0), 32);
        CHECK(!quota_take(q, 1, 1, 0));
        CHECK_INT(taken(q, 1, 64 * 1024, USEC_PER_SEC), 4);     /* it fills up as time passes ... */
        CHECK_INT(taken(q, 1, 64 * 1024, 3600 * USEC_PER_SEC), 32); /* ... and has an end */
        CHECK(quota_take(q, 3, 64 * MIB, 0));
        CHECK(!quota_take(q, 3, 1, 10 * USEC_PER_SEC));         /* what was too much is made up for first */
        quota_free(q);
}

/* What has been said is owed, up to an end. */
static void test_debt(void) {
        Quota *q;

        CHECK(quota_new(&q) >= 0);
        quota_owe(q, 1, 3 * MIB, 0);
        CHECK(!quota_take(q, 1, 1, 0));
        CHECK(!quota_take(q, 1, 1, 4 * USEC_PER_SEC));
        CHECK(quota_take(q, 1, 1, 6 * USEC_PER_SEC));
        for (int i = 0; i < 1000; i++)
                quota_owe(q, 2, MIB, 0);
        CHECK(!quota_take(q, 2, 1, 8 * USEC_PER_SEC));
        CHECK(quota_take(q, 2, 1, 9 * USEC_PER_SEC));
        CHECK(quota_take(q, 3, 1, 0));
        quota_free(q);
}

/* Who comes often does not get a new store by others' coming. */
static void test_many_users(void) {
        Quota *q;

        CHECK(quota_new(&q) >= 0);
        for (uint32_t uid = 1000; uid < 3000; uid++)
                CHECK(quota_take(q, uid, 1, uid));
        CHECK_INT(taken(q, 1, MIB, 3000), 2);
        for (uint32_t uid = 4000; uid < 4200; uid++)
                CHECK(quota_take(q, uid, 1, uid));
        CHECK_INT(taken(q, 1, MIB, 4200), 1); /* of what has come in since; a new store has two */
        quota_free(q);
}

/* What comes in seldom comes in all the same, however often it is asked for meanwhile. */
static void test_seldom(void) {
        Quota *q;

        CHECK(quota_new_of(20, 1800 * USEC_PER_SEC, &q) >= 0);
        CHECK(quota_has(q, 1, 0));
        CHECK_INT(taken(q, 1, 1, 0), 20);
        for (uint64_t sec = 1; sec < 1800; sec++)
                CHECK(!quota_has(q, 1, sec * USEC_PER_SEC));
        CHECK(quota_has(q, 1, 1800 * USEC_PER_SEC));
        CHECK_INT(taken(q, 1, 1, 3 * 1800 * USEC_PER_SEC - 1), 2);
        CHECK_INT(taken(q, 1, 1, 3 * 1800 * USEC_PER_SEC), 1);
        CHECK_INT(taken(q, 2, 1, 0), 20);
        quota_free(q);
}

int main(void) {
        test_store();
        test_seldom();
        test_debt();
        test_many_users();
        return EXIT_SUCCESS;
}
