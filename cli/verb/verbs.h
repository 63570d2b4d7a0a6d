/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/json.h"
#include "cli/args.h"

ExitCode verb_overview(const Args *a); /* without a verb */
ExitCode verb_list(const Args *a);
ExitCode verb_show(const Args *a);
ExitCode verb_plan(const Args *a);
ExitCode verb_explain(const Args *a);
ExitCode verb_remove(const Args *a);
ExitCode verb_restore(const Args *a);
ExitCode verb_self_test(const Args *a);
ExitCode verb_replace(const Args *a);
ExitCode verb_locate(const Args *a);
ExitCode verb_cancel(const Args *a);
ExitCode verb_status(const Args *a);
ExitCode verb_monitor(const Args *a);
ExitCode verb_watch(const Args *a);
ExitCode verb_history(const Args *a);
ExitCode verb_metrics(const Args *a);
ExitCode verb_inhibit(const Args *a);
ExitCode verb_inhibitors(const Args *a);
ExitCode verb_verify(const Args *a);
ExitCode verb_certificate(const Args *a);
ExitCode verb_incident(const Args *a);
ExitCode verb_cat_config(const Args *a);
ExitCode verb_policy(const Args *a);
ExitCode verb_holders(const Args *a);
ExitCode verb_snapshot(const Args *a);
ExitCode verb_simulate(const Args *a);

/* The rest of this command is about a recorded machine, and not about this one. */
ExitCode simulate_start(const char *machine);
const char *simulate_refuses(const Args *a); /* why this is nothing for a recorded machine; NULL: it is */
ExitCode verb_hook_test(const Args *a);

/* What somebody at a terminal has said yes to, and what he typed for it: `with` borrows from it. */
typedef struct RemoveAnswers {
        json_object *plan;
        char *serials, *digest;
} RemoveAnswers;

/* Asks what is to be asked before a removal, which is then asked for as `with` has it. */
ExitCode remove_prepare(const Args *a, Args *with, RemoveAnswers *answers);
void remove_answers_done(RemoveAnswers *answers);
