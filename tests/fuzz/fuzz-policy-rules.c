/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "holders/holder-rule.h"
#include "plan/policy-rules.h"
#include "fuzz.h"

/* Whatever a file holds: it is read to its end, a rule either refuses or has a ladder, and nothing in it brings a SIGKILL that was
 * not asked for. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_json_ json_object *warnings = json_object_new_array(), *rules = json_object_new_array(), *sorted = NULL;
        Hold hold = { .way = HOLD_MAPPING };
        Holder h = { .unit = (char *) "a@1.service", .exe = (char *) "/bin/a (deleted)", .holds = &hold, .n_holds = 1 };

        if (!warnings || !rules)
                return 0;
        FUZZ_CHECK(policy_rules_parse(rules, "fuzz.conf", (const char *) data, size, warnings) == 0);
        sorted = policy_rules_sort(rules);
        FUZZ_CHECK(json_len(sorted) == json_len(rules));
        (void) holder_rule_for(sorted, &h);
        for (size_t i = 0; i < json_len(sorted); i++) {
                HolderAction rungs[_HOLDER_ACTION_MAX];
                json_object *rule = json_at(sorted, i);
                size_t n = holder_rule_ladder(rule, &h, (HolderForce) { 0 }, rungs);

                FUZZ_CHECK((n == 0) == (holder_rule_has(rule, HOLDER_REFUSE) || json_len(json_array(rule, "action")) == holder_rule_has(rule, HOLDER_KILL)));
                for (size_t k = 0; k < n; k++)
                        FUZZ_CHECK(rungs[k] != HOLDER_KILL && rungs[k] != HOLDER_REFUSE);
        }
        return 0;
}
