/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who uses a card. Processes that use files and devices on it, each with its ways of holding and what would be done about it;
 * then those that have memory on it, which just moves. */
#include <inttypes.h>

#include "format.h"
#include "output.h"
#include "plan-text-parts.h"

static bool is_kind(json_object *holder, const char *kind) {
        return streq_ptr(json_str(holder, "kind"), kind);
}

static void print_on_remove(json_object *h) {
        json_object *rungs = json_array(h, "on_remove");

        if (json_flag(h, "protected"))
                print_colored(COLOR_BAD, "is never ended");
        else if (json_len(rungs) == 0)
                print_colored(COLOR_BAD, "is not to be disturbed");
        else
                fputs("on removal: ", stdout);
        for (size_t i = 0; i < json_len(rungs); i++)
                printf("%s%s", i > 0 ? ", " : "", json_object_get_string(json_at(rungs, i)));
        if (json_str(h, "rule"))
                printf(" (%s)", json_str(h, "rule"));
        putchar('\n');
}

static void add_hold(Table *t, json_object *hold) {
        table_cell(t, COLOR_NONE, json_str(hold, "way"));
        table_cell(t, COLOR_NONE, json_str(hold, "path") ?: json_str(hold, "target"));
        table_cell(t, COLOR_NONE, json_u64(hold, "bytes") > 0 ? FORMAT_SIZE(json_u64(hold, "bytes")) : NULL);
        table_cell(t, COLOR_NONE, json_str(hold, "found"));
}

static void print_holds(json_object *h, size_t n_holds) {
        static const char *const headers[] = { "HOLDS BY", "PATH", "SIZE", "SEEN IN" };
        json_object *holds = json_array(h, "holds");
        size_t n = json_len(holds), shown = n < n_holds ? n : n_holds;
        uint64_t more = n - shown + json_u64(h, "more_holds");
        _cleanup_table_ Table *t = table_new(headers, ELEMENTSOF(headers));

        if (!t)
                return;
        for (size_t i = 0; i < shown; i++)
                add_hold(t, json_at(holds, i));
        if (n > 0)
                table_print(t, "    ");
        if (more > 0)
                printf("    and %" PRIu64 " more\n", more);
}

static void print_process(json_object *h, size_t n_holds) {
        printf("  process %" PRIu64 " (%s)", json_u64(h, "pid"), json_str(h, "comm") ?: "?");
        if (json_str(h, "unit"))
                printf(", %s", json_str(h, "unit"));
        printf(", uid %" PRIu64 ", ", json_u64(h, "uid"));
        print_on_remove(h);
        print_holds(h, n_holds);
}

/* Pages that a driver keeps for a process, whatever became of its mappings. */
static void print_pin(json_object *h) {
        printf("  process %" PRIu64 " (%s)", json_u64(h, "pid"), json_str(h, "comm") ?: "?");
        if (json_str(h, "unit"))
                printf(", %s", json_str(h, "unit"));
        printf(", uid %" PRIu64 ", pins %s", json_u64(h, "uid"), FORMAT_SIZE(json_u64(h, "bytes")));
        printf(" (%s, %s): %s\n", json_str(h, "what") ?: "?", json_str(h, "grade") ?: "?", json_str(h, "found") ?: "");
}

static void print_export(json_object *h) {
        printf("  NFS export of %s to %s\n", json_str(h, "path") ?: "?", json_str(h, "client") ?: "?");
}

static void print_memory(json_object *holders) {
        static const char *const headers[] = { "PID", "COMMAND", "UNIT", "UID", "NODE", "USES", "MEMORY" };
        _cleanup_table_ Table *t = table_new(headers, ELEMENTSOF(headers));
        size_t n = 0;

        if (!t)
                return;
        table_align_right(t, 0);
        table_align_right(t, 6);
        for (size_t i = 0; i < json_len(holders); i++) {
                json_object *h = json_at(holders, i);

                if (!is_kind(h, "memory"))
                        continue;
                table_cellf(t, COLOR_NONE, "%" PRIu64, json_u64(h, "pid"));
                table_cell(t, COLOR_NONE, json_str(h, "comm"));
                table_cell(t, COLOR_NONE, json_str(h, "unit"));
                table_cellf(t, COLOR_NONE, "%" PRIu64, json_u64(h, "uid"));
                table_cellf(t, COLOR_NONE, "%" PRIu64, json_u64(h, "node"));
                table_cell(t, COLOR_NONE, json_u64(h, "bytes") > 0 || json_flag(h, "bound") ? json_str(h, "kind") : "policy");
                table_cell(t, COLOR_NONE, FORMAT_SIZE(json_u64(h, "bytes")));
                n++;
        }
        if (n > 0)
                table_print(t, "  ");
}

void plan_print_holders(json_object *plan, size_t n_holds) {
        json_object *holders = json_array(plan, "holders");
        bool partial = json_has(plan, "holders_complete") && !json_flag(plan, "holders_complete");

        if (json_len(holders) == 0 && !partial)
                return;
        plan_print_heading("Who uses it");
        for (size_t i = 0; i < json_len(holders); i++) {
                json_object *h = json_at(holders, i);

                if (is_kind(h, "process"))
                        print_process(h, n_holds);
                else if (is_kind(h, "pin"))
                        print_pin(h);
                else if (is_kind(h, "nfs-export"))
                        print_export(h);
        }
        print_memory(holders);
        if (partial)
                print_colored(COLOR_WARN, "  not complete: there may be others\n");
}
