/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>

#include "base/clock.h"
#include "cli/client.h"
#include "cli/removal.h"
#include "cli/text/format.h"
#include "cli/text/output.h"
#include "verbs.h"

static void print_running(json_object *removals) {
        static const char *const headers[] = { "ID", "SLOT", "STATE", "STEP", "NAME", "FOR", "ASKED BY" };
        _cleanup_table_ Table *t = table_new(headers, ELEMENTSOF(headers));

        if (!t)
                return;
        for (size_t i = 0; i < json_len(removals); i++) {
                json_object *r = json_at(removals, i);
                _cleanup_free_ char *slots = slots_text(r), *asker = asker_text(r);

                table_cell(t, COLOR_NONE, json_str(r, "id"));
                table_cell(t, COLOR_NONE, slots);
                table_cell(t, COLOR_WARN, json_str(r, "state"));
                if (json_u64(r, "step_count") > 0)
                        table_cellf(t, COLOR_NONE, "%" PRIu64 "/%" PRIu64, json_u64(r, "step_index") + 1,
                                    json_u64(r, "step_count"));
                else
                        table_cell(t, COLOR_NONE, NULL);
                table_cell(t, COLOR_NONE, json_str(r, "step"));
                table_cell(t, COLOR_NONE, FORMAT_DURATION(json_u64(r, "usec")));
                table_cell(t, COLOR_NONE, asker);
        }
        table_print(t, "");
}

/* Everything known of removals, newest first, as removal/1: a removal that was refused before anything was touched is on
 * the bus for a while and never in the history, an old one only in the history. */
static ExitCode collect(sd_bus *bus, json_object *removals, json_object **ret) {
        _cleanup_json_ json_object *all = json_object_new_array(), *history = NULL;
        size_t i = 0;

        ExitCode code = client_history(bus, 0, &history);
        if (code != CODE_DONE)
                return code;

        for (size_t k = 0; k < json_len(removals); k++)
                client_add_report(bus, json_str(json_at(removals, k), "id") ?: "", json_at(removals, k));
        json_object *entries = json_array(history, "removals");
        for (size_t k = 0; i < json_len(removals) || k < json_len(entries);) {
                const char *live = json_str(json_at(removals, i), "id"), *past = json_str(json_at(entries, k), "id");
                int order = !live ? -1 : !past ? 1 : strverscmp(live, past);

                if (order >= 0)
                        json_object_array_add(all, removal_of_properties(json_at(removals, i++)));
                if (order == 0)
                        k++; /* the same one, with less to say */
                if (order < 0)
                        json_object_array_add(all, removal_of_history(json_at(entries, k++)));
        }
        *ret = TAKE_PTR(all);
        return CODE_DONE;
}

/* The running ones; the newest of all where none runs. */
static ExitCode status_all(json_object *all) {
        _cleanup_json_ json_object *shown = removals_running(all);
        bool running = json_len(shown) > 0;

        if (!running && json_len(all) > 0)
                json_object_array_add(shown, json_ref(json_at(all, 0)));
        if (output.json != JSON_OFF) {
                _cleanup_json_ json_object *o = json_object_new_object();

                json_set_str(o, "schema", "safe-remove/status/1");
                json_set(o, "removals", json_ref(shown));
                print_json(o);
        } else if (running)
                print_running(shown);
        else if (json_len(shown) > 0)
                (void) removal_print(json_at(shown, 0), NULL);
        else
                puts("no removal is running, and none is on record");
        return json_len(shown) > 0 ? CODE_DONE : CODE_NOTHING;
}

static ExitCode status_one(sd_bus *bus, json_object *all, json_object *slots, const char *name) {
        _cleanup_json_ json_object *running = removals_running(all);

        json_object *found = removal_find(running, slots, name) ?: removal_find(all, slots, name);
        if (!found)
                return removal_fail_none(bus, slots, name, "is running or on record");

        /* A question that was answered is a success, whatever the answer. */
        (void) removal_print(found, NULL);
        return CODE_DONE;
}

ExitCode verb_status(const Args *a) {
        _cleanup_json_ json_object *slots = NULL, *removals = NULL, *all = NULL;
        _cleanup_bus_ sd_bus *bus = NULL;

        ExitCode code = client_connect_for_details(&bus);
        if (code == CODE_DONE)
                code = client_objects(bus, &slots, &removals);
        if (code == CODE_DONE)
                code = collect(bus, removals, &all);
        if (code != CODE_DONE)
                return code;
        return a->target ? status_one(bus, all, slots, a->target) : status_all(all);
}
