/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "holders/holder-rule.h"
#include "plan/policy-rules.h"
#include "fuzz.h"

/* Whatever a unit's file holds: without a section of ours nothing is declared, and with one that is not understood the unit is left alone. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_json_ json_object *warnings = json_object_new_array(), *rule = holder_rule_new("fuzz.service");
        _cleanup_free_ char *text = fuzz_text(data, size);
        static const char section[] = "[X-SafeRemove]";
        HolderAction rungs[_HOLDER_ACTION_MAX];
        Holder h = { .unit = (char *) "fuzz.service" };

        if (!warnings || !rule)
                return 0;
        FUZZ_CHECK(policy_rule_of_unit(rule, "fuzz.service", text, size, warnings) == 0);
        FUZZ_CHECK(!json_flag(rule, "declared") || memmem(text, size, section, strlen(section)));
        FUZZ_CHECK(json_len(warnings) == 0 || (json_flag(rule, "unusable") && holder_rule_has(rule, HOLDER_REFUSE)));
        size_t n = holder_rule_ladder(rule, &h, (HolderForce) { 0 }, rungs);
        for (size_t i = 0; i < n; i++)
                FUZZ_CHECK(rungs[i] != HOLDER_KILL && rungs[i] != HOLDER_REFUSE);
        return 0;
}
