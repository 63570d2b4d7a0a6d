/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/ask.h"
#include "cli/text/format.h"
#include "cli/text/output.h"
#include "verbs.h"

static bool is_kind(json_object *holder, const char *kind) {
        return streq_ptr(json_str(holder, "kind"), kind);
}

/* By unit, those without one last; then by number. */
static int compare(const void *a, const void *b) {
        json_object *x = *(json_object *const *) a, *y = *(json_object *const *) b;
        const char *unit_x = json_str(x, "unit"), *unit_y = json_str(y, "unit");

        if (!unit_x != !unit_y)
                return unit_x ? -1 : 1;
        int r = unit_x ? strcmp(unit_x, unit_y) : 0;
        uint64_t pid_x = json_u64(x, "pid"), pid_y = json_u64(y, "pid");
        return r != 0 ? r : pid_x < pid_y ? -1 : pid_x > pid_y;
}

static uint64_t bytes_of(json_object *holder) {
        json_object *holds = json_array(holder, "holds");
        uint64_t bytes = json_u64(holder, "bytes");

        for (size_t i = 0; i < json_len(holds); i++)
                bytes += json_u64(json_at(holds, i), "bytes");
        return bytes;
}

/* What a removal does about it, in the order in which it is tried. */
static void action_cell(Table *t, json_object *h) {
        json_object *actions = json_array(h, "on_remove");
        _cleanup_free_ char *words = json_joined(actions, NULL, ", ");

        if (is_kind(h, "memory"))
                table_cell(t, json_flag(h, "bound") ? COLOR_BAD : COLOR_NONE, json_flag(h, "bound") ? "bound there" : "pages move");
        else if (json_flag(h, "protected"))
                table_cell(t, COLOR_BAD, "protected");
        else if (json_len(actions) > 0)
                table_cell(t, COLOR_NONE, words);
        else
                table_cell(t, COLOR_BAD, "blocks");
}

/* "mapping, cwd of /mnt/data": each way and each thing once. */
static char *holds_text(json_object *h) {
        json_object *holds = json_array(h, "holds");
        _cleanup_json_ json_object *ways = json_object_new_array(), *targets = json_object_new_array();

        if (is_kind(h, "memory"))
                return strf("memory on node %d", (int) json_u64(h, "node"));
        if (is_kind(h, "nfs-export"))
                return strf("NFS export of %s to %s", json_str(h, "path") ?: "?", json_str(h, "client") ?: "?");
        if (is_kind(h, "pin") && json_len(holds) == 0)
                return strf("pins pages: %s", json_str(h, "what") ?: "?");
        for (size_t i = 0; i < json_len(holds); i++) {
                const char *way = json_str(json_at(holds, i), "way"), *target = json_str(json_at(holds, i), "target");
                if (way && !json_has_string(ways, way))
                        json_append_str(ways, way);
                if (target && !json_has_string(targets, target))
                        json_append_str(targets, target);
        }
        _cleanup_free_ char *by = json_joined(ways, NULL, ", "), *of = json_joined(targets, NULL, ", ");
        return by && of ? strf("%s of %s", by, of) : NULL;
}

static void print_holders(json_object *holders) {
        static const char *const headers[] = { "UNIT", "PID", "PROGRAM", "BYTES", "ON-REMOVE", "HOLDS" };
        _cleanup_table_ Table *t = table_new(headers, ELEMENTSOF(headers));

        if (!t)
                return;
        table_align_right(t, 1);
        table_align_right(t, 3);
        for (size_t i = 0; i < json_len(holders); i++) {
                json_object *h = json_at(holders, i);
                _cleanup_free_ char *holds = holds_text(h);
                uint64_t bytes = bytes_of(h);

                table_cell(t, COLOR_NONE, json_str(h, "unit"));
                if (json_u64(h, "pid") > 0)
                        table_cellf(t, COLOR_NONE, "%d", (int) json_u64(h, "pid"));
                else
                        table_cell(t, COLOR_NONE, NULL);
                table_cell(t, COLOR_NONE, json_str(h, "comm"));
                table_cell(t, COLOR_NONE, bytes > 0 ? FORMAT_SIZE(bytes) : NULL);
                action_cell(t, h);
                table_cell(t, COLOR_NONE, holds);
        }
        table_print(t, "");
}

static void print_holders_json(json_object *plan) {
        static const char *const keys[] = { "target", "slot", "slots", "card", "holders", "holders_complete", "withheld" };
        json_object *o = json_object_new_object();
        _cleanup_json_ json_object *owned = o;

        json_set_str(o, "schema", "safe-remove/holders/1");
        for (size_t i = 0; i < ELEMENTSOF(keys); i++)
                if (json_has(plan, keys[i]))
                        json_set(o, keys[i], json_ref(json_get(plan, keys[i])));
        print_json(o);
}

/* The plan says who they are and what would become of them: one that can be carried out or not is an answer all the same. Of a slot without a card there
 * is nothing that anybody could hold, which is no answer to who does. */
ExitCode verb_holders(const Args *a) {
        _cleanup_json_ json_object *plan = NULL;

        ExitCode code = ask_plan(a, client_plan, &plan);
        if (code != CODE_DONE)
                return code;

        json_object *holders = json_array(plan, "holders");
        if (holders)
                json_object_array_sort(holders, compare);
        bool nothing = streq_ptr(json_str(plan, "verdict"), "nothing") && json_len(holders) == 0;
        code = nothing ? CODE_NOTHING : CODE_DONE;
        if (output.json != JSON_OFF) {
                print_holders_json(plan);
                return code;
        }
        if (json_len(holders) > 0)
                print_holders(holders);
        else if (nothing)
                printf("slot %s: nobody uses it: %s\n", json_str(json_get(plan, "slot"), "name") ?: "?", json_str(plan, "message") ?: "the slot is empty");
        else if (output.legend)
                puts("nobody uses it");
        output_remarks_begin();
        if (json_has(plan, "holders_complete") && !json_flag(plan, "holders_complete"))
                print_colored(COLOR_WARN, "not complete: there may be others\n");
        output_remarks_end();
        return code;
}
