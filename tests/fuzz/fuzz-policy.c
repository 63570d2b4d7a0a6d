/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "plan/policy.h"
#include "fuzz.h"

/* Whatever a policy file holds: it is read to its end, and every setting stays within its bounds. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_json_ json_object *warnings = json_object_new_array();
        Policy p = policy_default();

        if (!warnings)
                return 0;
        FUZZ_CHECK(policy_parse(&p, "fuzz.conf", (const char *) data, size, warnings) == 0);
        FUZZ_CHECK(p.zone_normal == ZONE_POLICY_REFUSE || p.zone_normal == ZONE_POLICY_TRY);
        FUZZ_CHECK(p.grace_usec <= UINT64_C(86400) * 1000000);
        FUZZ_CHECK(p.limits.write_timeout_usec <= UINT64_C(3600) * 1000000);
        policy_done(&p);
        return 0;
}
