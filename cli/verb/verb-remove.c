/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/ask.h"
#include "cli/follow.h"
#include "cli/removal.h"
#include "cli/text/output.h"
#include "cli/text/plan-text.h"
#include "verbs.h"

/* Somebody sits there: he is asked for the serial number of each card whose persistent data is to be erased. Nobody types what is on another
 * card by mistake. */
static ExitCode ask_serials(const Args *a, char **ret) {
        _cleanup_json_ json_object *plan = NULL;
        _cleanup_bus_ sd_bus *bus = NULL;

        ExitCode code = client_connect(&bus);
        if (code == CODE_DONE)
                code = client_plan(bus, a, &plan);
        json_object *blockers = json_array(plan, "blockers");
        for (size_t i = 0; code == CODE_DONE && i < json_len(blockers); i++) {
                json_object *b = json_at(blockers, i);
                _cleanup_free_ char *line = NULL;
                size_t size = 0;

                if (!streq_ptr(json_str(b, "code"), "WHICH_SERIAL"))
                        continue;
                fprintf(stderr, "%s.\nSerial number of the card to erase: ", json_str(b, "what"));
                if (getline(&line, &size, stdin) < 0 || !*line || *line == '\n')
                        return fail(CODE_BLOCKED, NULL, "no serial number was given: nothing was touched");
                line[strcspn(line, "\n")] = '\0';
                (void) text_add(ret, ",", "%s", line);
        }
        return code;
}

ExitCode verb_remove(const Args *a) {
        _cleanup_free_ char *serials = NULL;
        Args with = *a;

        if (streq_ptr(a->sanitize, "yes") && output.json == JSON_OFF && isatty(STDIN_FILENO) && isatty(STDERR_FILENO)) {
                ExitCode code = ask_serials(a, &serials);
                if (code != CODE_DONE)
                        return code;
                with.sanitize = serials ?: a->sanitize;
        }
        return ask_and_follow(&with, "removal", client_remove);
}

ExitCode verb_restore(const Args *a) {
        return a->dry_run ? ask_for_plan(a, client_plan_restore, plan_show) : ask_and_follow(a, "restoration", client_restore);
}

/* The object path of the running removal that a name means; NULL when only the daemon can tell. */
static ExitCode find_path(sd_bus *bus, const char *name, char **ret) {
        _cleanup_json_ json_object *slots = NULL, *removals = NULL, *running = NULL;

        ExitCode code = client_objects(bus, &slots, &removals);
        if (code != CODE_DONE)
                return code;

        running = removals_running(removals);
        json_object *found = removal_find(running, slots, name);
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

ExitCode verb_cancel(const Args *a) {
        _cleanup_bus_ sd_bus *bus = NULL;
        _cleanup_free_ char *path = NULL;
        _cleanup_follow_ Follow f = { 0 };

        ExitCode code = client_connect(&bus);
        if (code == CODE_DONE)
                code = follow_prepare(&f, bus);
        if (code == CODE_DONE)
                code = find_path(bus, a->target, &path);
        if (code == CODE_DONE)
                code = client_cancel(bus, a->target);
        if (code != CODE_DONE)
                return code;
        if (a->no_wait || !path)
                return requested(bus, path);

        code = follow_run(&f, path);
        if (code == CODE_DETACHED)
                return fail(code, NULL, "the cancel was requested; see: safe-remove status %s", f.name);
        if (code != CODE_DONE)
                return code;
        /* Cancelled is what was asked for, so here everything put back is success. */
        code = removal_print(f.result, NULL);
        return code == CODE_RESTORED ? CODE_DONE : code == CODE_DONE ? CODE_BLOCKED : code;
}
