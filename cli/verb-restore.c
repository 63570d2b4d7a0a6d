/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ask.h"
#include "output.h"
#include "plan-text.h"
#include "verbs.h"

static ExitCode dry_run(const Args *a) {
        _cleanup_json_ json_object *plan = NULL;
        _cleanup_bus_ sd_bus *bus = NULL;

        ExitCode code = client_connect(&bus);
        if (code == CODE_DONE)
                code = client_plan_restore(bus, a, &plan);
        if (code != CODE_DONE)
                return code;

        if (output.json != JSON_OFF)
                print_json(plan);
        else
                plan_print(plan, a);
        return exit_code_of_verdict(json_str(plan, "verdict"));
}

ExitCode verb_restore(const Args *a) {
        return a->dry_run ? dry_run(a) : ask_and_follow(a, "restoration", client_restore);
}
