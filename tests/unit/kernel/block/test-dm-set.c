/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <sys/sysmacros.h>

#include "kernel/block/dm-set.h"
#include "kernel/block/dm-state.h"
#include "tests/unit/test.h"

static char *number_of(dev_t dev, void *userdata) {
        return strf("%u:%u", major(dev), minor(dev));
}

static MdArray *raid(const char *params, const char *status) {
        MdArray *a = NULL;

        CHECK_INT(dm_raid_parse(params, status, number_of, NULL, &a), 0);
        return a;
}

static void check_member(const MdArray *a, size_t i, const char *name, const char *meta, MdRole role) {
        CHECK(i < a->n_members);
        CHECK_STR(a->members[i].name, name);
        CHECK_STR(a->members[i].meta, meta);
        CHECK_INT(a->members[i].role, role);
}

static void test_raid(void) {
        _cleanup_(md_array_freep) MdArray *whole = raid("raid1 3 0 region_size 4096 2 252:0 252:1 252:2 252:3", "raid1 2 AA 8/8 idle 0 0 -");
        _cleanup_(md_array_freep) MdArray *five = raid("raid5_ls 5 64 region_size 4096 journal_dev 8:0 4 252:0 252:1 - - 252:4 252:5 252:6 252:7",
                                                       "raid5_ls 4 A-aD 4/8 recover 0 0 A");
        _cleanup_(md_array_freep) MdArray *silent = raid("raid10_near 1 128 2 - 8:0 - 8:16", NULL), *none = NULL;

        CHECK_STR(whole->level, "raid1");
        CHECK_INT(whole->disks, 2);
        CHECK_STR(whole->syncing, NULL);
        check_member(whole, 1, "252:3", "252:2", MD_IN_SYNC);

        CHECK_STR(five->level, "raid5");
        CHECK_STR(five->syncing, "recover");
        CHECK_INT(five->disks, 4);
        CHECK_INT(five->n_members, 4);
        check_member(five, 0, "8:0", NULL, MD_JOURNAL);
        check_member(five, 1, "252:1", "252:0", MD_IN_SYNC);
        check_member(five, 2, "252:5", "252:4", MD_REBUILT);
        check_member(five, 3, "252:7", "252:6", MD_FAULTY);

        /* How its legs are is not known. */
        CHECK_STR(silent->level, "raid10");
        check_member(silent, 0, "8:0", NULL, MD_UNKNOWN);

        CHECK_INT(dm_raid_parse("", "", number_of, NULL, &none), -EBADMSG);
        CHECK_INT(dm_raid_parse("raid1 9 0", "", number_of, NULL, &none), -EBADMSG);
        CHECK_INT(dm_raid_parse("raid1 1 0 2 252:0", "", number_of, NULL, &none), -EBADMSG);
        CHECK_INT(dm_raid_parse("raid1 1 0 1 252:0 x", "", number_of, NULL, &none), -EBADMSG);
}

#define STATUS "2 0 0 0 2 1 A 0 2 2 8:0 A 0 0 1 8:16 F 3 0 1 E 0 1 2 8:32 A 0 0 1"

static void test_paths(void) {
        dev_t devs[] = { makedev(8, 0), makedev(8, 32) };

        CHECK(dm_path_works(STATUS, makedev(8, 0)));
        CHECK(!dm_path_works(STATUS, makedev(8, 16)));
        CHECK(!dm_path_works(STATUS, makedev(8, 48)));
        CHECK(!dm_path_works(NULL, makedev(8, 0)));
        CHECK_INT(dm_paths_without(STATUS, devs, 0), 2);
        CHECK_INT(dm_paths_without(STATUS, devs, 1), 1);
        CHECK_INT(dm_paths_without(STATUS, devs, 2), 0);
}

static void check_without(const char *table, const char *want) {
        dev_t devs[] = { makedev(8, 0), makedev(8, 16) };
        _cleanup_free_ char *got = dm_table_without(table, devs, ELEMENTSOF(devs));

        CHECK_STR(got, want);
}

static void test_without(void) {
        /* A whole group, one of two in a group, arguments after each path, none left. */
        check_without("0 8 multipath 1 queue_if_no_path 0 2 2 service-time 0 1 2 8:0 1 1 service-time 0 1 2 8:32 1 1",
                      "0 8 multipath 1 queue_if_no_path 0 1 1 service-time 0 1 2 8:32 1 1");
        check_without("0 8 multipath 0 1 alua 1 1 round-robin 0 3 1 8:0 1000 8:32 1000 8:16 1000",
                      "0 8 multipath 0 1 alua 1 1 round-robin 0 1 1 8:32 1000");
        check_without("0 8 multipath 0 0 1 1 historical-service-time 1 x 2 0 8:32 8:16", "0 8 multipath 0 0 1 1 historical-service-time 1 x 1 0 8:32");
        check_without("0 8 multipath 0 0 1 1 round-robin 0 2 0 8:0 8:16", NULL);

        check_without("0 8 raid raid1 3 0 region_size 4096 2 8:0 8:1 8:32 8:33", "0 8 raid raid1 3 0 region_size 4096 2 - - 8:32 8:33");
        check_without("0 8 raid raid5_ls 1 64 3 - 8:16 - 8:32 - 8:48", "0 8 raid raid5_ls 1 64 3 - - - 8:32 - 8:48");

        /* A journal is no leg: a table that names it still is none without it. */
        check_without("0 8 raid raid5_ls 3 64 journal_dev 8:16 3 - 8:0 - 8:32 - 8:48", NULL);
        check_without("0 8 raid raid1 2 0 8:0 2 8:0 8:1 8:32 8:33", NULL);
        check_without("0 8 multipath 2 x 8:0 0 1 1 round-robin 0 2 0 8:0 8:32", NULL);

        /* Without any of them, of another kind, of several targets, cut short. */
        check_without("0 8 raid raid1 1 0 2 8:32 8:33 8:48 8:49", NULL);
        check_without("0 8 linear 8:0 0", NULL);
        check_without("0 8 raid raid1 1 0 1 8:0 8:1\n8 8 linear 8:0 0", NULL);
        check_without("0 8 raid raid1 1 0 2 8:0 8:1 8:32", NULL);
        check_without("0 8 multipath 0 0 1 1 round-robin 0 2 1 8:0 1 8:32", NULL);
        check_without("", NULL);
}

static void test_mirror(void) {
        CHECK(dm_mirror_is_whole("2 253:0 253:1 400/400 1 AA 3 disk 253:2 A"));
        CHECK(dm_mirror_is_whole("2 253:0 253:1 3/400 1 AA 1 core"));
        CHECK(!dm_mirror_is_whole("2 253:0 253:1 400/400 1 DA 1 core"));
        CHECK(!dm_mirror_is_whole("2 253:0 253:1 400/400 1 A 1 core"));
        CHECK(!dm_mirror_is_whole("2 253:0 253:1 400/400"));
        CHECK(!dm_mirror_is_whole("0"));
        CHECK(!dm_mirror_is_whole("x"));
        CHECK(!dm_mirror_is_whole(NULL));
}

static void test_told(void) {
        _cleanup_dm_targets_ DmTargets l = { 0 };
        DmTargets none = { 0 };

        CHECK_INT(dm_targets_parse("252:1 table linear\n252:2 table crypt\n252:1 table raid a b\n252:1 status c d\n252:3 table multipath x\n", &l), 0);
        CHECK_INT(l.n, 4);
        CHECK_STR(l.items[0].type, "linear");
        CHECK_STR(l.items[0].params, NULL);
        CHECK_STR(l.items[0].status, NULL);
        CHECK_STR(l.items[2].params, "a b");
        CHECK_STR(l.items[2].status, "c d");
        CHECK_STR(l.items[3].status, NULL);
        CHECK_INT(l.items[3].dev, makedev(252, 3));
        CHECK_INT(dm_targets_parse("252:1 status c\n", &none), -EBADMSG);
        CHECK_INT(dm_targets_parse("nonsense\n", &none), -EBADMSG);
}

int main(void) {
        test_raid();
        test_paths();
        test_without();
        test_mirror();
        test_told();
        return EXIT_SUCCESS;
}
