/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "base/clock.h"
#include "base/fileio.h"
#include "cli/agent.h"
#include "cli/client.h"
#include "cli/connect.h"
#include "cli/text/output.h"
#include "cli/worker.h"
#include "verbs.h"

#define CHECK_USEC (30 * USEC_PER_SEC) /* longer than a worker has for it */

/* The files are read with the caller's rights, without a daemon; but for a reload. */

static ExitCode check(json_object *paths, json_object **ret) {
        _cleanup_json_ json_object *request = json_object_new_object();

        if (paths)
                json_set(request, "files", json_ref(paths));
        return worker_ask("check-policy", request, ret);
}

static void print_file(json_object *file, const char *text, size_t length) {
        json_object *replaces = json_array(file, "replaces");

        printf("%s# %s%s\n", color_start(COLOR_BOLD), json_str(file, "path"), color_end());
        for (size_t i = 0; i < json_len(replaces); i++)
                printf("%s# %s %s%s\n", color_start(COLOR_DIM), length > 0 ? "in the place of" : "is empty, and takes away",
                       json_object_get_string(json_at(replaces, i)), color_end());
        (void) fwrite(text, 1, length, stdout);
        if (length > 0 && text[length - 1] != '\n')
                puts("");
}

ExitCode verb_cat_config(const Args *a) {
        _cleanup_json_ json_object *found = NULL, *shown = json_object_new_object();
        ExitCode code = check(NULL, &found);
        if (code != CODE_DONE)
                return code;

        json_object *files = json_array(found, "files");
        for (size_t i = 0; i < json_len(files); i++) {
                json_object *file = json_at(files, i);
                _cleanup_free_ char *text = NULL;
                size_t length;
                int r = read_config_file(json_str(file, "path"), &text, &length);
                if (r < 0) {
                        code = r == -EACCES ? CODE_NOT_AUTHORIZED : CODE_FAILED;
                        output_line(stderr, "safe-remove: %s cannot be read: %s\n", json_str(file, "path"), strerror(-r));
                        json_set(file, "text", NULL);
                } else if (output.json != JSON_OFF)
                        json_set_str(file, "text", text);
                else {
                        if (i > 0)
                                puts("");
                        print_file(file, text, length);
                }
        }
        if (output.json != JSON_OFF) {
                json_set_str(shown, "schema", "safe-remove/config/1");
                json_set(shown, "files", json_ref(files));
                print_json(shown);
        } else if (json_len(files) == 0 && output.legend)
                puts("no files: what is built in counts");
        return code;
}

static void print_warnings(json_object *warnings) {
        for (size_t i = 0; i < json_len(warnings); i++) {
                json_object *w = json_at(warnings, i);

                if (json_u64(w, "line") > 0)
                        output_line(stderr, "%s:%ju: %s\n", json_str(w, "file"), (uintmax_t) json_u64(w, "line"), json_str(w, "message"));
                else
                        output_line(stderr, "%s: %s\n", json_str(w, "file"), json_str(w, "message"));
        }
}

/* As the daemon's worker reads them, which is root's. */
static ExitCode reload(const Args *a, json_object **ret) {
        _cleanup_bus_ sd_bus *bus = NULL;
        _cleanup_error_ sd_bus_error e = SD_BUS_ERROR_NULL;
        _cleanup_message_ sd_bus_message *m = NULL, *reply = NULL;
        const char *text;

        ExitCode code = client_connect_to_change(&bus);
        if (code != CODE_DONE)
                return code;
        int r = sd_bus_message_new_method_call(bus, &m, BUS_NAME, BUS_PATH, BUS_MANAGER, "Reload");
        if (r >= 0)
                r = agent_call(bus, m, a, CHECK_USEC, &e, &reply);
        if (r >= 0)
                r = sd_bus_message_read(reply, "s", &text);
        if (r >= 0)
                r = client_parse(text, ret);
        return r < 0 ? client_fail(r, &e) : CODE_DONE;
}

ExitCode verb_policy(const Args *a) {
        _cleanup_json_ json_object *paths = a->n_targets > 1 ? json_object_new_array() : NULL, *found = NULL;
        bool reloads = streq_ptr(a->target, "reload");

        if (!reloads && !streq_ptr(a->target, "check")) {
                static const char *const words[] = { "check", "reload" };
                const char *nearest = a->target ? text_nearest(a->target, words, ELEMENTSOF(words), sizeof(words[0])) : NULL;
                return fail(CODE_USAGE, NULL, "'policy' is followed by 'check' or 'reload'%s%s%s%s: safe-remove policy %s", a->target ? ", not '" : "",
                            a->target ?: "", a->target ? "'" : "", nearest ? "; did you mean" : ", such as", nearest ?: "check [FILE...]");
        }
        if (reloads && a->n_targets > 1)
                return fail(CODE_USAGE, NULL, "'%s' is one too many: safe-remove policy reload", a->targets[1]);
        for (size_t i = 1; i < a->n_targets; i++)
                json_append_str(paths, a->targets[i]);
        ExitCode code = reloads ? reload(a, &found) : check(paths, &found);
        if (code != CODE_DONE)
                return code;

        json_object *files = json_array(found, "files"), *warnings = json_array(found, "warnings");
        json_make_printable(found);
        if (output.json != JSON_OFF) {
                _cleanup_json_ json_object *o = json_object_new_object();
                json_set_str(o, "schema", "safe-remove/policy-check/1");
                json_set(o, "files", json_ref(files));
                json_set(o, "warnings", json_ref(warnings));
                print_json(o);
        } else {
                print_warnings(warnings);
                if (json_len(warnings) == 0 && output.legend)
                        printf("%zu file%s read, nothing wrong\n", json_len(files), json_len(files) == 1 ? "" : "s");
        }
        return json_len(warnings) > 0 ? CODE_CONFIG : CODE_DONE;
}
