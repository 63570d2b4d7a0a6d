/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/parse.h"
#include "cli/ask.h"
#include "cli/follow.h"
#include "cli/removal.h"
#include "cli/text/confirm.h"
#include "cli/text/output.h"
#include "cli/text/plan-text.h"
#include "verbs.h"

/* Somebody sits there: he is asked for the serial number of each card whose persistent data is to be erased. Nobody types what is on another
 * card by mistake. */
static ExitCode ask_serials(const Args *a, json_object **ret_plan, char **ret) {
        ExitCode code = ask_plan(a, client_plan, ret_plan);
        for (size_t i = 0; code == CODE_DONE && i < json_len(json_array(*ret_plan, "blockers")); i++) {
                json_object *b = json_at(json_array(*ret_plan, "blockers"), i);
                _cleanup_free_ char *line = NULL;
                size_t size = 0;

                if (!streq_ptr(json_str(b, "code"), "WHICH_SERIAL"))
                        continue;
                fprintf(stderr, "%s.\nSerial number of the card to erase%s%s: ", json_str(b, "what"), client_host() ? " on " : "", client_host() ?: "");
                if (getline(&line, &size, stdin) < 0 || !*line || *line == '\n')
                        return fail_with_hint(CODE_BLOCKED, NULL, "it can be given with the command: --sanitize=SERIAL", "no serial number was given: nothing was touched");
                line[strcspn(line, "\n")] = '\0';
                (void) text_add(ret, ",", "%s", line);
        }
        return code;
}

/* What somebody says yes to is what is done: the request goes out with the digest of the plan that he was shown. A plan that cannot be carried
 * out needs no question: the request says why, as everywhere. */
static ExitCode confirm(const Args *a, ExitCode (*ask)(sd_bus *bus, const Args *a, json_object **ret), json_object **ret_plan, bool *ret_yes) {
        ExitCode code = *ret_plan ? CODE_DONE : ask_plan(a, ask, ret_plan);
        *ret_yes = code == CODE_DONE && (!streq_ptr(json_str(*ret_plan, "verdict"), "ready") || confirm_plan(*ret_plan, a));
        return code != CODE_DONE || *ret_yes ? code : confirm_declined();
}

/* The plan alone, and whether it is the one that was asked for. */
static ExitCode plan_only(const Args *a, const char *plan_command, ExitCode (*ask)(sd_bus *bus, const Args *a, json_object **ret)) {
        _cleanup_json_ json_object *plan = NULL;

        ExitCode code = ask_plan(a, ask, &plan);
        if (code != CODE_DONE)
                return code;
        if (a->digest && streq_ptr(json_str(plan, "verdict"), "ready") && !digest_is_meant(a->digest, json_str(plan, "digest")))
                return fail(CODE_STALE, NULL, "the machine has changed since the plan was shown: its digest is now %.*s...; see: %s %s %s",
                            DIGEST_SHORTEST, json_str(plan, "digest") ?: "unknown", client_command(), plan_command, a->target);
        output_keep();
        plan_show(plan, a);
        output_release();
        return exit_code_of_plan(plan);
}

ExitCode remove_prepare(const Args *a, Args *with, RemoveAnswers *answers) {
        ExitCode code = CODE_DONE;
        bool yes;

        *with = *a;
        if (confirm_can_ask(a) && !a->digest)
                code = ask_joins(a, "remove", &answers->digest);
        if (code != CODE_DONE || answers->digest) {
                with->digest = answers->digest;
                return code;
        }
        if (streq_ptr(a->sanitize, "yes") && output.json == JSON_OFF && isatty(STDIN_FILENO) && isatty(STDERR_FILENO)) {
                code = ask_serials(a, &answers->plan, &answers->serials);
                if (code != CODE_DONE)
                        return code;
                if (answers->serials) /* of another request: this plan is blocked for want of them */
                        json_object_put(TAKE_PTR(answers->plan));
                with->sanitize = answers->serials ?: a->sanitize;
        }
        /* Who gives the digest has seen the plan; what is forced or erased, and who is passed over, is told once more. */
        if (confirm_can_ask(a) && (!a->digest || a->force || a->sanitize || a->ignore_inhibitors)) {
                code = confirm(with, client_plan, &answers->plan, &yes);
                if (code == CODE_DONE && streq_ptr(json_str(answers->plan, "verdict"), "ready") && !a->digest)
                        with->digest = json_str(answers->plan, "digest");
        }
        return code;
}

void remove_answers_done(RemoveAnswers *answers) {
        json_object_put(answers->plan);
        free(answers->serials);
        free(answers->digest);
}

ExitCode verb_remove(const Args *a) {
        _cleanup_(remove_answers_done) RemoveAnswers answers = { 0 };
        Args with;

        if (a->dry_run)
                return plan_only(a, "plan", client_plan);
        ExitCode code = remove_prepare(a, &with, &answers);
        return code == CODE_DONE ? ask_and_follow(&with, "removal", client_remove) : code;
}

ExitCode verb_restore(const Args *a) {
        _cleanup_json_ json_object *plan = NULL;
        _cleanup_free_ char *digest = NULL;
        Args with = *a;
        bool yes;

        if (a->dry_run)
                return plan_only(a, "restore --dry-run", client_plan_restore);
        if (confirm_can_ask(a) && !a->digest) {
                ExitCode code = ask_joins(a, "restore", &digest);
                if (code == CODE_DONE && !digest)
                        code = confirm(a, client_plan_restore, &plan, &yes);
                if (code != CODE_DONE)
                        return code;
                with.digest = digest ?: (streq_ptr(json_str(plan, "verdict"), "ready") ? json_str(plan, "digest") : NULL);
        }
        return ask_and_follow(&with, "restoration", client_restore);
}

/* The object path of the running removal that a name means; NULL when only the daemon can tell. */
static ExitCode find_path(sd_bus *bus, const char *name, json_object **ret_slots, char **ret) {
        _cleanup_json_ json_object *removals = NULL, *running = NULL;

        ExitCode code = client_objects(bus, ret_slots, &removals);
        if (code != CODE_DONE)
                return code;

        running = removals_running(removals);
        json_object *found = removal_find(running, *ret_slots, name);
        if (found && sd_bus_path_encode(BUS_REMOVAL_PREFIX, json_str(found, "id"), ret) < 0)
                return fail_memory();
        return CODE_DONE;
}

static ExitCode requested(sd_bus *bus, const char *path) {
        if (output.json == JSON_OFF)
                puts("cancel requested");
        else if (path)
                removal_print_now(bus, path);
        return CODE_DONE;
}

/* What a cancel would find: the steps that were begun, last first, each with its way back. */
static ExitCode cancel_dry(sd_bus *bus, const Args *a, json_object *slots, const char *path) {
        _cleanup_json_ json_object *removal = NULL, *properties = NULL;
        _cleanup_error_ sd_bus_error e = SD_BUS_ERROR_NULL;
        _cleanup_free_ char *id = path ? bus_name_of_path(path) : NULL;

        if (!id)
                return removal_fail_none(bus, slots, a->target, "is running");
        int r = client_properties(bus, path, BUS_REMOVAL, &properties, &e);
        if (r < 0)
                return client_fail(r, &e);
        client_add_report(bus, id, properties);
        removal = removal_of_properties(properties);
        if (!json_flag(removal, "cancelable"))
                return fail(CODE_BLOCKED, NULL, "%s %s cannot be cancelled any more; see: %s status %s", removal_noun(removal), id, client_command(), id);

        output_keep();
        ExitCode code = removal_print(removal, NULL);
        json_object *steps = json_array(json_get(removal, "plan"), "steps");
        for (size_t i = (size_t) json_u64(removal, "step_index") + 1; output.json == JSON_OFF && i-- > 0;) {
                json_object *step = json_at(steps, i);
                if (step)
                        printf("  would undo step %zu, %s: %s\n", i + 1, json_str(step, "name") ?: "?", json_str(step, "undo") ?: "nothing to do");
        }
        output_release();
        return code;
}

ExitCode verb_cancel(const Args *a) {
        _cleanup_json_ json_object *slots = NULL;
        _cleanup_bus_ sd_bus *bus = NULL;
        _cleanup_free_ char *path = NULL;
        _cleanup_follow_ Follow f = { 0 };

        ExitCode code = client_connect_to_change(&bus);
        if (code == CODE_DONE)
                code = follow_prepare(&f, bus);
        if (code == CODE_DONE)
                code = find_path(bus, a->target, &slots, &path);
        if (code == CODE_DONE && a->dry_run)
                return cancel_dry(bus, a, slots, path);
        if (code == CODE_DONE)
                code = client_cancel(bus, a);
        if (code == CODE_NOTHING)
                return removal_fail_none(bus, slots, a->target, "is running");
        if (code != CODE_DONE)
                return code;
        if (a->no_wait || !path)
                return requested(bus, path);

        code = follow_run(&f, path);
        if (code == CODE_DETACHED)
                progress_done(&f.progress);
        if (code == CODE_DETACHED)
                return fail(code, NULL, "the cancel was requested; see: %s status %s", client_command(), f.name);
        if (code != CODE_DONE)
                return code;
        /* Cancelled is what was asked for, so here everything put back is success. */
        code = removal_report(f.result, NULL);
        return code == CODE_RESTORED ? CODE_DONE : code == CODE_DONE ? CODE_BLOCKED : code;
}
