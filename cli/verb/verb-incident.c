/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <sys/stat.h>

#include "cli/client.h"
#include "cli/text/format.h"
#include "cli/text/output.h"
#include "verbs.h"

static void print_lines(const char *title, json_object *lines) {
        if (json_len(lines) > 0)
                printf("\n%s\n", title);
        for (size_t i = 0; i < json_len(lines); i++)
                printf("  %s\n", json_object_get_string(json_at(lines, i)));
}

static void print_incident(json_object *o) {
        const char *serial = json_str(json_get(o, "card"), "serial"), *removal = json_str(o, "removal");

        printf("incident %s: ", json_str(o, "id") ?: "?");
        print_colored(COLOR_BAD, "%s", json_str(o, "message") ?: "?");
        printf("\n  %-8s slot %s (port %s)\n", "slot", json_str(o, "slot") ?: "?", json_str(o, "port") ?: "none");
        printf("  %-8s %s\n", "card", serial ?: "not known");
        printf("  %-8s %s\n", "found", FORMAT_TIME(json_u64(o, "found_usec")));
        if (removal)
                printf("  %-8s %s; see: safe-remove status %s\n", "removal", removal, removal);
        print_lines("What to do next:", json_array(o, "next"));
        print_lines("What is lost, or was in use then:", json_array(o, "lost"));
        print_lines("What was done:", json_array(o, "done"));
        print_lines("What was left as it is:", json_array(o, "left"));
        if (output.legend)
                printf("\nfor a report: safe-remove incident %s --output FOLDER\n", json_str(o, "id") ?: "?");
}

static char *lines_of(json_object *lines) {
        char *text = strdup("");

        for (size_t i = 0; text && i < json_len(lines); i++)
                if (text_add(&text, "", "%s\n", json_object_get_string(json_at(lines, i))) < 0)
                        break;
        return text;
}

static char *timeline_of(json_object *timeline) {
        char *text = strdup("");

        for (size_t i = 0; text && i < json_len(timeline); i++) {
                uint64_t usec = json_u64(json_at(timeline, i), "usec");
                if (text_add(&text, "", "%s.%03u  %s\n", FORMAT_TIME(usec), (unsigned) (usec / 1000 % 1000), json_str(json_at(timeline, i), "what") ?: "?") < 0)
                        break;
        }
        return text;
}

static int write_text(const char *folder, const char *name, const char *text) {
        _cleanup_free_ char *path = strf("%s/%s", folder, name);

        return !path || !text ? -ENOMEM : output_write_file(path, text, 0600);
}

/* All that is on record of it, each part for who looks at it with an editor; incident.json has the whole. */
static ExitCode write_bundle(json_object *o, const char *folder) {
        _cleanup_free_ char *timeline = timeline_of(json_array(o, "timeline")), *log = lines_of(json_array(o, "kernel_log"));
        _cleanup_free_ char *lost = lines_of(json_array(o, "lost")), *done = lines_of(json_array(o, "done")), *left = lines_of(json_array(o, "left"));
        _cleanup_free_ char *next = lines_of(json_array(o, "next"));
        _cleanup_free_ char *holders = strf("in use when it was found:\n%s\ndone:\n%s\nleft as it is:\n%s", lost ?: "", done ?: "", left ?: "");
        _cleanup_free_ char *summary = strf("%s\n\nnext:\n%s", json_str(o, "message") ?: "", next ?: "");
        const struct {
                const char *name, *text;
        } files[] = {
                { "incident.json", json_text_pretty(o) }, { "summary.txt", summary }, { "timeline.txt", timeline }, { "holders.txt", holders },
                { "kernel.log", log }, { "topology.json", json_text_pretty(json_get(o, "last_seen")) },
        };

        if (mkdir(folder, 0700) < 0 && errno != EEXIST)
                return fail_file(folder, -errno);
        for (size_t i = 0; i < ELEMENTSOF(files); i++) {
                int r = write_text(folder, files[i].name, files[i].text);
                if (r < 0)
                        return fail_file(folder, r);
        }
        if (output.legend)
                output_line(stderr, "%zu files in %s\n", ELEMENTSOF(files), folder);
        return CODE_DONE;
}

ExitCode verb_incident(const Args *a) {
        _cleanup_json_ json_object *o = NULL;
        _cleanup_bus_ sd_bus *bus = NULL;

        ExitCode code = client_connect_for_details(&bus);
        if (code == CODE_DONE)
                code = client_incident(bus, a->target ?: "", &o);
        if (code != CODE_DONE)
                return code;
        if (a->output)
                return write_bundle(o, a->output);
        if (output.json != JSON_OFF)
                print_json(o);
        else
                print_incident(o);
        return CODE_DONE;
}
