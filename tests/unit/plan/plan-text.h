/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "plan/plan.h"
#include "tests/unit/test.h"

/* A plan from its text, as a record has it. */
static inline Plan *plan_of_text(const char *text) {
        _cleanup_json_ json_object *doc = NULL;
        _cleanup_free_ char *why = NULL;
        Plan *p = NULL;

        CHECK_INT(json_parse(text, strlen(text), &doc), 0);
        CHECK_INT(plan_from_json(doc, &p, &why), 0);
        return p;
}
