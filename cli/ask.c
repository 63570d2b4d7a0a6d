/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/text/output.h"
#include "ask.h"
#include "follow.h"
#include "removal.h"

static ExitCode accepted(sd_bus *bus, const char *path, const char *noun) {
        _cleanup_free_ char *id = bus_name_of_path(path);
        _cleanup_json_ json_object *properties = NULL;
        _cleanup_error_ sd_bus_error e = SD_BUS_ERROR_NULL;

        if (output.json != JSON_OFF) {
                removal_print_now(bus, path);
                return CODE_DONE;
        }
        /* By its slot, as everywhere: a bare number that is an id may name another slot. */
        (void) client_properties(bus, path, BUS_REMOVAL, &properties, &e);
        _cleanup_free_ char *name = shell_quoted(json_str(properties, "slot") ?: id ?: "");
        printf("%s %s started; see: safe-remove status %s\n", noun, id ?: "?", name);
        return CODE_DONE;
}

static ExitCode follow(Follow *f, const char *path, const char *noun) {
        _cleanup_free_ char *id = bus_name_of_path(path);

        /* It may have nothing to do, or be refused: then nothing has started. */
        f->progress.started_note = strf("%s %s started%s", noun, id ?: "?", f->progress.live ? "; Ctrl-C leaves it running" : "");
        return follow_run(f, path);
}

ExitCode ask_and_follow(const Args *a, const char *noun, ExitCode (*ask)(sd_bus *bus, const Args *a, char **ret_path)) {
        _cleanup_bus_ sd_bus *bus = NULL;
        _cleanup_free_ char *path = NULL;

        ExitCode code = client_connect(&bus);
        if (code != CODE_DONE)
                return code;
        if (a->no_wait) {
                code = ask(bus, a, &path);
                return code == CODE_DONE ? accepted(bus, path, noun) : code;
        }

        _cleanup_follow_ Follow f = { 0 };
        code = follow_prepare(&f, bus);
        if (code == CODE_DONE)
                code = ask(bus, a, &path);
        if (code == CODE_DONE)
                code = follow(&f, path, noun);
        if (code == CODE_DETACHED) {
                progress_done(&f.progress);
                /* Interrupting the wait is not a wish to interrupt the removal: half-way is the worst place to be surprised. */
                _cleanup_free_ char *name = shell_quoted(f.name);
                return fail(code, NULL, "%s %s goes on; see: safe-remove status %s; to stop it: safe-remove cancel %s", noun, f.id, name, name);
        }
        if (code != CODE_DONE)
                return code;

        /* What the worker read back last of all. The slot object, for want of that, is as old as the daemon's last look. */
        _cleanup_free_ char *leds = f.leds || !f.listen.bus ? NULL : removal_leds(f.listen.bus, json_str(f.result, "slot"));
        return removal_report(f.result, f.leds ?: leds);
}

/* Whatever is in the way is somebody's wish, and ends when he says so. */
static bool plan_is_vetoed(json_object *plan) {
        json_object *blockers = json_array(plan, "blockers");

        for (size_t i = 0; i < json_len(blockers); i++)
                if (!streq_ptr(json_str(json_at(blockers, i), "code"), "INHIBITED"))
                        return false;
        return json_len(blockers) > 0;
}

ExitCode ask_for_plan(const Args *a, ExitCode (*ask)(sd_bus *bus, const Args *a, json_object **ret),
                      void (*print)(json_object *plan, const Args *a)) {
        _cleanup_json_ json_object *plan = NULL;
        _cleanup_bus_ sd_bus *bus = NULL;

        ExitCode code = client_connect(&bus);
        if (code == CODE_DONE)
                code = ask(bus, a, &plan);
        if (code != CODE_DONE)
                return code;

        print(plan, a);
        return plan_is_vetoed(plan) ? CODE_VETOED : exit_code_of_verdict(json_str(plan, "verdict"));
}
