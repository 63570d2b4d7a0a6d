/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "cli/client.h"
#include "cli/text/output.h"
#include "cli/worker.h"
#include "verbs.h"

enum {
        MISSING_SHOWN = 5,
};

/* The worker has our rights: what the daemon may read of this machine is not ours to show. */
static ExitCode of_this_machine(bool keep_names, json_object **ret) {
        _cleanup_json_ json_object *request = json_object_new_object();

        json_set_bool(request, "keep_names", keep_names);
        return worker_ask("snapshot", request, ret);
}

static ExitCode of_recorded_machine(bool keep_names, json_object **ret) {
        _cleanup_bus_ sd_bus *bus = NULL;

        ExitCode code = client_connect(&bus);
        return code == CODE_DONE ? client_snapshot(bus, keep_names, ret) : code;
}

/* On standard error: standard output is the recording. */
static void tell_missing(json_object *missing) {
        size_t n = json_len(missing);

        if (n == 0 || !output.legend)
                return;
        output_line(stderr, "not recorded: %zu of what is there\n", n);
        for (size_t i = 0; i < n && i < MISSING_SHOWN; i++) {
                json_object *o = json_at(missing, i);
                _cleanup_free_ char *path = strdup(json_str(o, "path") ?: "?");
                if (path)
                        utf8_make_printable(path);
                output_line(stderr, "  %s: %s\n", path ?: "?", json_str(o, "why") ?: "?");
        }
        output_line(stderr, "%s%s", n > MISSING_SHOWN ? "  ...\n" : "", geteuid() != 0 ? "plans made of it may differ; root can read more\n" : "");
}

ExitCode verb_snapshot(const Args *a) {
        _cleanup_json_ json_object *o = NULL;

        ExitCode code = a->machine ? of_recorded_machine(a->keep_names, &o) : of_this_machine(a->keep_names, &o);
        if (code != CODE_DONE)
                return code;
        const char *text = output.json != JSON_OFF ? NULL : json_str(o, "recording");
        if (output.json == JSON_OFF && !text)
                return fail_with_hint(CODE_FAILED, NULL, "see whether the package is whole: the worker is of another version", "the machine cannot be recorded");
        if (a->output) {
                int r = output_write_file(a->output, text ?: json_text_pretty(o), 0600);
                if (r < 0)
                        return fail_file(a->output, r);
        } else if (text)
                fputs(text, stdout);
        else
                print_json(o);
        tell_missing(json_array(o, "missing"));
        return CODE_DONE;
}
