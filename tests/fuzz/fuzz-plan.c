/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "plan/plan.h"
#include "fuzz.h"

/* Whatever a plan file holds: it is refused with a reason, or every step of it can be described and the plan sealed again. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_json_ json_object *doc = NULL;
        _cleanup_(plan_freep) Plan *p = NULL;
        _cleanup_free_ char *why = NULL;

        if (json_parse((const char *) data, size, &doc) < 0)
                return 0;
        int r = plan_from_json(doc, &p, &why);
        FUZZ_CHECK(r == 0 || (why && !p));
        if (r < 0)
                return 0;
        FUZZ_CHECK(plan_first_irreversible(p) <= p->n_steps);
        FUZZ_CHECK(plan_seal(p) == 0);
        FUZZ_CHECK(strlen(plan_digest(p)) == 64);
        return 0;
}
