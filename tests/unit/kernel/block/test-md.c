/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel/block/md.h"
#include "tests/unit/test.h"

/* md_goes_t: those whose first letter is in the text. */
static bool goes(const char *member, void *userdata) {
        return strchr(userdata, *member);
}

static MdArray *array(const char *level, uint64_t disks, const char *names, const MdRole *roles) {
        MdArray *a = calloc(1, sizeof(*a));

        CHECK(a);
        a->level = strdup(level);
        a->disks = disks;
        for (size_t i = 0; names[i]; i++) {
                char name[] = { names[i], '\0' };
                CHECK_INT(md_add_member(a, name, roles[i]), 0);
        }
        return a;
}

static void check_now(const MdArray *a, MdLoss loss, char *who, const char *part) {
        _cleanup_free_ char *why = md_not_now(a, "md0", loss, goes, who);

        if (!part)
                CHECK_STR(why, NULL);
        else if (!why || !strstr(why, part))
                CHECK_STR(why, part);
}

/* What it can do without is one question, whether it can be done to it now another. */
static void test_loss(void) {
        static const MdRole roles[] = { MD_IN_SYNC, MD_IN_SYNC, MD_IN_SYNC, MD_SPARE, MD_JOURNAL };
        char a[] = "a", spare[] = "d", journal[] = "e", all[] = "abcde";
        _cleanup_(md_array_freep) MdArray *m = array("raid5", 3, "abcde", roles);

        CHECK_INT(md_without(m, goes, a), MD_DEGRADES);
        CHECK_INT(md_without(m, goes, spare), MD_UNHURT);
        CHECK_INT(md_without(m, goes, journal), MD_ENDS);
        CHECK_INT(md_without(m, goes, all), MD_ENDS);
        check_now(m, MD_DEGRADES, a, NULL);

        m->syncing = strdup("resync");
        check_now(m, MD_DEGRADES, a, "still being synchronised (resync)");
        check_now(m, MD_UNHURT, spare, NULL);
        check_now(m, MD_ENDS, all, NULL);
        free(TAKE_PTR(m->syncing));

        m->members[1].bad_blocks = true;
        check_now(m, MD_DEGRADES, a, "cannot be read on b");
        check_now(m, MD_UNHURT, spare, NULL);
        m->members[1].bad_blocks = false;

        m->reshaping = true;
        check_now(m, MD_ENDS, all, "being reshaped");
        check_now(m, MD_UNHURT, spare, "being reshaped");
        m->reshaping = false;

        m->bitmap_file = strdup("/var/bitmap");
        check_now(m, MD_DEGRADES, a, NULL);
        check_now(m, MD_ENDS, all, "/var/bitmap");
        free(TAKE_PTR(m->bitmap_file));

        m->no_metadata = true;
        check_now(m, MD_ENDS, all, "has no metadata, and could not be put together again");
        check_now(m, MD_DEGRADES, a, "a member that came back would be taken for one that is up to date");
        check_now(m, MD_UNHURT, spare, "has no metadata");
        m->inactive = true;
        check_now(m, MD_ENDS, all, "was not started, so that nothing tells which it is, and could not be put together again");
        m->inactive = m->no_metadata = false;

        m->external = true;
        check_now(m, MD_DEGRADES, a, NULL);
        check_now(m, MD_ENDS, all, "could not be put together again");

        m->inactive = true;
        CHECK_INT(md_without(m, goes, spare), MD_ENDS);
}

int main(void) {
        test_loss();
        CHECK(md_same_uuid("8f4b79e2-f28c-f900-c333-af302250b60d", "8f4b79e2:f28cf900:c333af30:2250b60d"));
        CHECK(md_same_uuid("8F4B79E2f28cf900c333af302250b60d", "8f4b79e2:f28cf900:c333af30:2250b60d"));
        CHECK(!md_same_uuid("8f4b79e2:f28cf900:c333af30:2250b60e", "8f4b79e2:f28cf900:c333af30:2250b60d"));
        CHECK(!md_same_uuid("8f4b79e2:f28cf900:c333af30:2250b60d0", "8f4b79e2:f28cf900:c333af30:2250b60d"));
        CHECK(!md_same_uuid("8f4b", "8f4b"));
        CHECK(!md_same_uuid("", ""));
        return EXIT_SUCCESS;
}
