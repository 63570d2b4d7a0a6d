/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/client.h"
#include "cli/removal.h"
#include "cli/text/event-text.h"
#include "cli/text/format.h"
#include "cli/text/output.h"
#include "verbs.h"

enum {
        LIMIT_DEFAULT = 20,
};

static Color outcome_color(const char *outcome) {
        static const struct {
                const char *outcome;
                Color color;
        } colors[] = {
                { "safe", COLOR_GOOD }, { "released", COLOR_GOOD }, { "rebuilt", COLOR_GOOD }, { "tested", COLOR_GOOD }, { "incomplete", COLOR_BAD },
                { "restored", COLOR_WARN }, { "interrupted", COLOR_WARN },
                { "refused", COLOR_WARN }, { "stuck", COLOR_BAD },
        };

        for (size_t i = 0; i < ELEMENTSOF(colors); i++)
                if (streq_ptr(colors[i].outcome, outcome))
                        return colors[i].color;
        return COLOR_NONE;
}

static void print_history(json_object *removals) {
        static const char *const headers[] = { "ID", "WHEN", "SLOT", "KIND", "ASKED BY", "OUTCOME", "TOOK", "MESSAGE" };
        _cleanup_table_ Table *t = table_new(headers, ELEMENTSOF(headers));

        if (!t)
                return;
        table_align_right(t, 6);
        table_spare(t, 6);
        table_spare(t, 4);
        table_spare(t, 3);
        for (size_t i = 0; i < json_len(removals); i++) {
                json_object *r = json_at(removals, i);
                const char *outcome = json_str(r, "outcome");
                _cleanup_free_ char *slots = slots_text(r), *asker = asker_text(r);

                table_cell(t, COLOR_NONE, json_str(r, "id"));
                table_cell(t, COLOR_NONE, FORMAT_TIME(json_u64(r, "started_usec")));
                table_cell(t, COLOR_NONE, slots);
                table_cell(t, COLOR_NONE, json_has(json_get(r, "options"), "self_test") ? "self-test" : json_str(r, "kind"));
                table_cell(t, COLOR_NONE, asker);
                table_cell(t, outcome_color(outcome), outcome ?: "unfinished");
                table_cell(t, COLOR_NONE, json_has(r, "took_usec") ? FORMAT_DURATION(json_u64(r, "took_usec")) : NULL);
                table_cell(t, COLOR_NONE, message_text(r));
        }
        table_print(t, "");
        output_remarks_begin();
        /* What a removal did not put back, or what went with the card, is told below the table, by its number: it may be long. */
        for (size_t i = 0; i < json_len(removals); i++) {
                json_object *r = json_at(removals, i), *lost = json_array(r, "lost");

                for (size_t k = 0; k < json_len(lost); k++)
                        printf("%s %s, %s: %s\n", removal_noun(r), json_str(r, "id"), lost_word(r), json_object_get_string(json_at(lost, k)));
        }
        output_remarks_end();
}

/* They are no removals, and have numbers of their own. */
static void print_incidents(json_object *incidents) {
        output_remarks_begin();
        for (size_t i = 0; i < json_len(incidents); i++) {
                json_object *o = json_at(incidents, i);

                printf("incident %s, %s: %s\n", json_str(o, "id") ?: "?", FORMAT_TIME(json_u64(o, "found_usec")), json_str(o, "message") ?: "?");
        }
        output_remarks_end();
}

ExitCode verb_history(const Args *a) {
        _cleanup_json_ json_object *history = NULL;
        _cleanup_bus_ sd_bus *bus = NULL;

        ExitCode code = client_connect_for_details(&bus);
        if (code == CODE_DONE)
                code = client_history(bus, a->has_limit ? a->limit : LIMIT_DEFAULT, &history);
        if (code != CODE_DONE)
                return code;

        if (output.json != JSON_OFF)
                print_json(history);
        else if (json_len(json_array(history, "removals")) > 0)
                print_history(json_array(history, "removals"));
        else if (output.legend)
                puts("no removals yet; start with: safe-remove list");
        if (output.json == JSON_OFF)
                print_incidents(json_array(history, "incidents"));
        return CODE_DONE;
}
