/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/ask.h"
#include "cli/text/output.h"
#include "cli/text/plan-text.h"
#include "verbs.h"

ExitCode verb_plan(const Args *a) {
        return ask_for_plan(a, client_plan, plan_show);
}

/* As JSON the part of a plan that says why, under its own schema. */
static void print_explanation(json_object *plan, const Args *a) {
        static const char *const keys[] = {
                "target", "slot", "card", "verdict", "blockers", "warnings", "memory", "holders", "holders_complete",
        };

        if (output.json == JSON_OFF) {
                plan_print_explanation(plan);
                return;
        }
        _cleanup_json_ json_object *o = json_object_new_object();
        json_set_str(o, "schema", "safe-remove/explain/1");
        for (size_t i = 0; i < ELEMENTSOF(keys); i++)
                json_set(o, keys[i], json_ref(json_get(plan, keys[i])));
        if (json_has(plan, "card_state"))
                json_set(o, "card_state", json_ref(json_get(plan, "card_state")));
        if (json_has(plan, "withheld"))
                json_set(o, "withheld", json_ref(json_get(plan, "withheld")));
        if (json_array(plan, "slots"))
                json_set(o, "slots", json_ref(json_get(plan, "slots")));
        print_json(o);
}

ExitCode verb_explain(const Args *a) {
        return ask_for_plan(a, client_plan, print_explanation);
}
