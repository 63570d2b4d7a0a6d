/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/ask.h"
#include "cli/text/plan-text.h"
#include "verbs.h"

ExitCode verb_restore(const Args *a) {
        return a->dry_run ? ask_for_plan(a, client_plan_restore, plan_show) : ask_and_follow(a, "restoration", client_restore);
}
