/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "client.h"
#include "output.h"
#include "plan-text.h"
#include "verbs.h"

static ExitCode get_plan(const Args *a, json_object **ret) {
        _cleanup_bus_ sd_bus *bus = NULL;

        ExitCode code = client_connect(&bus);
        return code == CODE_DONE ? client_plan(bus, a, ret) : code;
}

ExitCode verb_plan(const Args *a) {
        _cleanup_json_ json_object *plan = NULL;

        ExitCode code = get_plan(a, &plan);
        if (code != CODE_DONE)
                return code;

        if (output.json != JSON_OFF)
                print_json(plan);
        else
                plan_print(plan, a);
        return exit_code_of_verdict(json_str(plan, "verdict"));
}

/* The part of a plan that says why, under its own schema. */
static void print_explanation_json(json_object *plan) {
        static const char *const keys[] = {
                "target", "slot", "card", "verdict", "blockers", "warnings", "memory", "holders", "holders_complete",
        };
        _cleanup_json_ json_object *o = json_object_new_object();

        json_set_str(o, "schema", "safe-remove/explain/1");
        for (size_t i = 0; i < ELEMENTSOF(keys); i++)
                json_set(o, keys[i], json_ref(json_get(plan, keys[i])));
        print_json(o);
}

ExitCode verb_explain(const Args *a) {
        _cleanup_json_ json_object *plan = NULL;

        ExitCode code = get_plan(a, &plan);
        if (code != CODE_DONE)
                return code;

        if (output.json != JSON_OFF)
                print_explanation_json(plan);
        else
                plan_print_explanation(plan);
        return exit_code_of_verdict(json_str(plan, "verdict"));
}
