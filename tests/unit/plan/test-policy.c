/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/clock.h"
#include "plan/policy.h"
#include "tests/unit/test.h"

static void test_good_file(void) {
        _cleanup_json_ json_object *warnings = json_object_new_array();
        Policy p = policy_default();

        CHECK_INT(policy_parse(&p, "a.conf",
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
                "b.conf:11: 'power' is no step, 'safe-remove plan' shows what they are called",
        };
        _cleanup_json_ json_object *warnings = json_object_new_array();
        Policy p = policy_default();

        CHECK_INT(policy_parse(&p, "b.conf",
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

static int apply(Policy *p, const char *options, char **ret_why) {
        _cleanup_json_ json_object *o = NULL;

        CHECK_INT(json_parse(options, strlen(options), &o), 0);
        return policy_apply_options(p, o, ret_why);
}

static void test_options(void) {
        _cleanup_free_ char *why = NULL, *why2 = NULL, *why3 = NULL, *why4 = NULL, *why5 = NULL;
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

        /* Settings without an option name are the administrator's alone. */
        CHECK_INT(apply(&p, "{\"WriteTimeoutSec\": 1}", &why4), -EINVAL);
}

int main(void) {
        test_good_file();
        test_bad_lines();
        test_options();
        return EXIT_SUCCESS;
}
