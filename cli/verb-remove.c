/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "follow.h"
#include "output.h"
#include "removal.h"
#include "verbs.h"

/* Interrupting the wait is not a wish to interrupt the removal: half-way is the worst place to be surprised. */
static ExitCode detached(const Follow *f) {
        return fail(CODE_DETACHED, NULL, "removal %s goes on; see: safe-remove status %s; to stop it: safe-remove cancel %s",
                    f->id, f->name, f->name);
}

static ExitCode accepted(sd_bus *bus, const char *path) {
        _cleanup_free_ char *id = bus_name_of_path(path);
        _cleanup_json_ json_object *properties = NULL;
        _cleanup_error_ sd_bus_error e = SD_BUS_ERROR_NULL;

        if (output.json != JSON_OFF) {
                removal_print_now(bus, path);
                return CODE_DONE;
        }
        /* By its slot, as everywhere: a bare number that is an id may name another slot. */
        (void) client_properties(bus, path, BUS_REMOVAL, &properties, &e);
        printf("removal %s started; see: safe-remove status %s\n", id ?: "?", json_str(properties, "slot") ?: id ?: "");
        return CODE_DONE;
}

static ExitCode follow(Follow *f, const char *path) {
        _cleanup_free_ char *id = bus_name_of_path(path);
        _cleanup_free_ char *text = strf("removal %s started%s", id ?: "?",
                                         f->progress.live ? "; Ctrl-C leaves it running" : "");

        if (text)
                progress_note(&f->progress, text);
        return follow_run(f, path);
}

ExitCode verb_remove(const Args *a) {
        _cleanup_bus_ sd_bus *bus = NULL;
        _cleanup_free_ char *path = NULL;

        ExitCode code = client_connect(&bus);
        if (code != CODE_DONE)
                return code;
        if (a->no_wait) {
                code = client_remove(bus, a, &path);
                return code == CODE_DONE ? accepted(bus, path) : code;
        }

        _cleanup_follow_ Follow f = { 0 };
        code = follow_prepare(&f, bus);
        if (code == CODE_DONE)
                code = client_remove(bus, a, &path);
        if (code == CODE_DONE)
                code = follow(&f, path);
        if (code == CODE_DETACHED)
                return detached(&f);
        if (code != CODE_DONE)
                return code;

        /* What the worker read back last of all. The slot object, for want of that, is as old as the daemon's last look. */
        _cleanup_free_ char *leds = f.leds ? NULL : removal_leds(bus, json_str(f.result, "slot"));
        return removal_print(f.result, f.leds ?: leds);
}
