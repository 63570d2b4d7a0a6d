/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/clock.h"
#include "plan/policy.h"
#include "tests/unit/test.h"

static int parse(Policy *p, const char *file, const char *text, json_object *warnings) {
        return policy_parse(p, file, text, strlen(text), warnings);
}

static void test_good_file(void) {
        _cleanup_json_ json_object *warnings = json_object_new_array();
        Policy p = policy_default();

        CHECK_INT(parse(&p, "a.conf",
                               "# a comment\n"
                               "[Removal]\n"
                               "GraceSec=5\n"
                               "  OfflineTimeoutSec = 7 \n"
                               "ZoneNormal=try\nRestore=auto\nEqualCard=no\nStepDelayAt=hold  power-off\nForceUnmap=yes\n", warnings), 0);
        CHECK_INT(json_len(warnings), 0);
        CHECK_INT(p.grace_usec, 5 * USEC_PER_SEC);
        CHECK_INT(p.limits.offline_timeout_usec, 7 * USEC_PER_SEC);
        CHECK_INT(p.zone_normal, ZONE_POLICY_TRY);
        CHECK(p.restore_auto && !p.equal_card);
        CHECK(p.force_unmap);
        CHECK_INT(p.limits.step_delay_at, UINT64_C(1) << STEP_HOLD | UINT64_C(1) << STEP_POWER_OFF);
}

/* Each bad line is named with file and number, changes nothing, and does not keep the next one from counting. */
static void test_bad_lines(void) {
        static const char *const expected[] = {
                "b.conf:1: 'GraceSec=1' stands in no known section",
                "b.conf:2: section [Other] is not known, there is only [Removal]",
                "b.conf:4: 'GraceSec' is not KEY=VALUE",
                "b.conf:5: '-1' is not a number from 0 to 86400",
                "b.conf:6: '86401' is not a number from 0 to 86400",
                "b.conf:7: 'perhaps' is not a policy, use \"refuse\" or \"try\"",
                "b.conf:8: 'always' is not \"auto\" or \"manual\"",
                "b.conf:9: key 'Colour' is not known",
                "b.conf:11: 'power' is no step, 'safe-remove plan' shows what they are called; did you mean power-off?",
        };
        _cleanup_json_ json_object *warnings = json_object_new_array();
        Policy p = policy_default();

        CHECK_INT(parse(&p, "b.conf",
                               "GraceSec=1\n[Other]\n[Removal]\nGraceSec\nGraceSec=-1\nGraceSec=86401\nZoneNormal=perhaps\nRestore=always\n"
                               "Colour=red\nWriteTimeoutSec=9\nStepDelayAt=hold power", warnings), 0);
        CHECK_INT(json_len(warnings), ELEMENTSOF(expected));
        for (size_t i = 0; i < ELEMENTSOF(expected); i++)
                CHECK_STR(json_object_get_string(json_at(warnings, i)), expected[i]);
        CHECK_INT(p.grace_usec, 0);
        CHECK_INT(p.limits.step_delay_at, 0);
        CHECK(!p.restore_auto && p.equal_card);
        CHECK_INT(p.limits.write_timeout_usec, 9 * USEC_PER_SEC);
}

/* What other systems' editors and broken disks leave in a file, and what is near to a word that is known. */
static void test_odd_lines(void) {
        static const char text[] = "\xef\xbb\xbf[Removal]\r\nGraceSec=5\r\nGraceSecs=7\nZoneNormal=t\0ry\nOfflineTimeoutSec=9\nGraceSec=6\nStepDelayAt=ofline-memory\n"
                                   "[Removals]\n[Nothing]\n";
        static const char *const expected[] = {
                "c.conf:3: key 'GraceSecs' is not known; did you mean GraceSec?",
                "c.conf:4: the line is not read: there is a NUL byte in it",
                "c.conf:6: GraceSec= stands in line 2 already; what stands here counts",
                "c.conf:7: 'ofline-memory' is no step, 'safe-remove plan' shows what they are called; did you mean offline-memory?",
                "c.conf:8: section [Removals] is not known, there is only [Removal]; did you mean [Removal]?",
                "c.conf:9: section [Nothing] is not known, there is only [Removal]",
        };
        _cleanup_json_ json_object *warnings = json_object_new_array();
        Policy p = policy_default();

        CHECK_INT(policy_parse(&p, "c.conf", text, sizeof(text) - 1, warnings), 0);
        CHECK_INT(json_len(warnings), ELEMENTSOF(expected));
        for (size_t i = 0; i < ELEMENTSOF(expected); i++)
                CHECK_STR(json_object_get_string(json_at(warnings, i)), expected[i]);
        CHECK_INT(p.grace_usec, 6 * USEC_PER_SEC);
        CHECK_INT(p.limits.offline_timeout_usec, 9 * USEC_PER_SEC);
        CHECK_INT(p.zone_normal, ZONE_POLICY_REFUSE);
}

/* A line that is longer than anybody writes is told and passed over; a comment may be. A file of nothing else does not fill the plan. */
static void test_long_lines(void) {
        _cleanup_json_ json_object *warnings = json_object_new_array();
        _cleanup_free_ char *text = strdup("[Removal]\n");
        Policy p = policy_default();
        char line[5000];

        memset(line, 'x', sizeof(line) - 1);
        line[sizeof(line) - 1] = '\0';
        CHECK_INT(text_add(&text, "", "#%s\nGraceSec=%s\nGraceSec=4\n", line, line), 0);
        CHECK_INT(parse(&p, "d.conf", text, warnings), 0);
        CHECK_INT(json_len(warnings), 1);
        CHECK_STR(json_object_get_string(json_at(warnings, 0)), "d.conf:3: the line is not read: it is longer than 4096 bytes");
        CHECK_INT(p.grace_usec, 4 * USEC_PER_SEC);

        for (unsigned i = 0; i < 100; i++)
                CHECK_INT(text_add(&text, "", "x\n"), 0);
        CHECK_INT(parse(&p, "d.conf", text, warnings), 0);
        CHECK_INT(json_len(warnings), 1 + 50 + 1);
        CHECK_STR(json_object_get_string(json_at(warnings, 51)), "d.conf: 51 lines more cannot be used");
}

/* Whoever goes on with a removal has its limits. */
static void test_limits(void) {
        Policy begun = policy_default(), later = policy_default();
        _cleanup_json_ json_object *limits = NULL, *warnings = json_object_new_array();

        CHECK_INT(parse(&begun, "a.conf", "[Removal]\nOfflineTimeoutSec=7\nStepDelayMSec=3\nStepDelayAt=hold\n", warnings), 0);
        CHECK_INT(parse(&later, "a.conf", "[Removal]\nOfflineTimeoutSec=1\nStepDelayMSec=9\nZoneNormal=try\n", warnings), 0);
        limits = policy_limits(&begun);
        policy_take_limits(&later, limits);
        CHECK(memcmp(&later.limits, &begun.limits, sizeof(begun.limits)) == 0);
        policy_take_limits(&later, NULL);
        CHECK_INT(later.limits.offline_timeout_usec, 7 * USEC_PER_SEC);
        CHECK_INT(later.zone_normal, ZONE_POLICY_TRY);
}

static int apply(Policy *p, const char *options, char **ret_why) {
        _cleanup_json_ json_object *o = NULL;

        CHECK_INT(json_parse(options, strlen(options), &o), 0);
        return policy_apply_options(p, o, ret_why);
}

static void test_options(void) {
        _cleanup_free_ char *why = NULL, *why2 = NULL, *why3 = NULL, *why4 = NULL, *why5 = NULL, *why6 = NULL;
        Policy p = policy_default();

        CHECK_INT(apply(&p, "{\"grace_sec\": 60, \"zone_normal\": \"try\", \"digest\": \"x\"}", &why), 0);
        CHECK_INT(p.grace_usec, 60 * USEC_PER_SEC);
        CHECK_INT(apply(&p, "{\"grace_sec\": \"soon\"}", &why), -EINVAL);
        CHECK_STR(why, "option grace_sec: 'soon' is not a number from 0 to 86400");
        CHECK_INT(apply(&p, "{\"colour\": 1}", &why2), -EINVAL);
        CHECK_STR(why2, "option 'colour' is not known");

        CHECK_INT(apply(&p, "{\"equal_card\": \"no\"}", &why3), 0);
        CHECK(!p.equal_card && !p.force_kill && !p.force_unmap);
        CHECK_INT(apply(&p, "{\"force\": \"unmap,kill\"}", &why3), 0);
        CHECK(p.force_kill && p.force_unmap);
        /* What the administrator allows is not taken back by a request that says nothing of it. */
        CHECK_INT(apply(&p, "{\"force\": \"kill\"}", &why3), 0);
        CHECK(p.force_kill && p.force_unmap && !p.force_unproven);
        p.force_unmap = false;
        CHECK_INT(apply(&p, "{\"force\": \"unproven\"}", &why3), 0);
        CHECK(!p.force_kill && !p.force_unmap && p.force_unproven && !p.force_poison);
        CHECK_INT(apply(&p, "{\"force\": \"poison\"}", &why3), 0);
        CHECK(!p.force_kill && !p.force_unproven && p.force_poison);
        /* It comes with the end of the users, and as every word it is of its own request alone. */
        CHECK_INT(apply(&p, "{\"force\": \"shutdown\"}", &why3), 0);
        CHECK(p.force_kill && p.force_shutdown && !p.force_unmap && !p.force_poison && !p.shutdown_file_systems);
        CHECK_INT(apply(&p, "{\"force\": \"kill\"}", &why3), 0);
        CHECK(p.force_kill && !p.force_shutdown);
        CHECK_INT(apply(&p, "{\"force\": \"leak\"}", &why3), -EINVAL);
        CHECK_STR(why3, "option force: 'leak' is not a list of \"kill\", \"shutdown\", \"unmap\", \"unproven\" and \"poison\"");

        CHECK(!p.sanitize);
        CHECK_INT(apply(&p, "{\"sanitize\": \"yes\"}", &why3), 0);
        CHECK(p.sanitize && json_len(p.sanitize_serials) == 0);
        CHECK_INT(apply(&p, "{\"sanitize\": \"0x1,8089-a2\"}", &why3), 0);
        CHECK_INT(json_len(p.sanitize_serials), 2);
        CHECK_STR(json_object_get_string(json_at(p.sanitize_serials, 1)), "8089-a2");
        CHECK_INT(apply(&p, "{\"sanitize\": \"0x1,,0x2\"}", &why5), -EINVAL);
        CHECK_STR(why5, "option sanitize: '0x1,,0x2' is not \"yes\", or serial numbers with commas between them");
        policy_done(&p);

        CHECK_INT(apply(&p, "{\"zone_nromal\": \"try\"}", &why6), -EINVAL);
        CHECK_STR(why6, "option 'zone_nromal' is not known; did you mean zone_normal?");
        /* Settings without an option name are the administrator's alone. */
        CHECK_INT(apply(&p, "{\"WriteTimeoutSec\": 1}", &why4), -EINVAL);
}

int main(void) {
        test_good_file();
        test_bad_lines();
        test_odd_lines();
        test_long_lines();
        test_limits();
        test_options();
        return EXIT_SUCCESS;
}
