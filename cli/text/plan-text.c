/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>

#include "base/parse.h"
#include "cli/removal.h"
#include "card-view.h"
#include "format.h"
#include "output.h"
#include "plan-text.h"
#include "storage-text.h"

static void print_heading(const char *text) {
        if (!output.legend)
                return;
        putchar('\n');
        print_colored(COLOR_BOLD, "%s\n", text);
}

static void print_region(json_object *region) {
        json_object *peers = json_array(region, "peers");

        printf("  %s  %s %s", json_str(region, "name") ?: "?", FORMAT_SIZE(json_u64(region, "size")),
               json_str(region, "mode") ?: "");
        if (json_u64(region, "ways") > 1)
                printf(", interleaved over %" PRIu64 " cards", json_u64(region, "ways"));
        putchar('\n');
        for (size_t i = 0; i < json_len(peers); i++) {
                json_object *p = json_at(peers, i);
                print_colored(COLOR_WARN, "    also loses it: slot %s", json_str(p, "slot") ?: "none");
                printf("  (card %s, %s, serial %s)\n", json_str(p, "bdf") ?: "?", json_str(p, "memdev") ?: "?",
                       json_str(p, "serial") ?: "unknown");
        }
}

/* Blocks that agree in zone and state in one line each, in the order in which they first appear. */
static void print_blocks(json_object *blocks) {
        for (size_t i = 0; i < json_len(blocks); i++) {
                const char *zone = json_str(json_at(blocks, i), "zone"), *state = json_str(json_at(blocks, i), "state");
                size_t n = 0, first = json_len(blocks);

                for (size_t k = 0; k < json_len(blocks); k++) {
                        json_object *b = json_at(blocks, k);
                        if (!streq_ptr(json_str(b, "zone"), zone) || !streq_ptr(json_str(b, "state"), state))
                                continue;
                        first = k < first ? k : first;
                        n++;
                }
                if (first == i)
                        printf("    %zu block%s %s, zone %s\n", n, n == 1 ? "" : "s", state ?: "?", zone ?: "?");
        }
}

static void print_takes_down(json_object *down, const char *heading) {
        static const char *const keys[] = { "regions", "dax", "nodes", "namespaces", "block_devices", "file_systems", "swaps" };
        json_object *regions = json_array(down, "regions"), *dax = json_array(down, "dax"), *nodes = json_array(down, "nodes");
        size_t n = 0;

        for (size_t i = 0; i < ELEMENTSOF(keys); i++)
                n += json_len(json_array(down, keys[i]));
        if (n == 0)
                return;
        print_heading(heading);
        for (size_t i = 0; i < json_len(regions); i++)
                print_region(json_at(regions, i));
        for (size_t i = 0; i < json_len(dax); i++)
                printf("  %s\n", json_object_get_string(json_at(dax, i)));
        for (size_t i = 0; i < json_len(nodes); i++)
                printf("  node%" PRIu64 "\n", json_object_get_uint64(json_at(nodes, i)));
        if (json_u64(down, "memory_bytes") > 0)
                printf("  memory in use as system RAM: %s\n", FORMAT_SIZE(json_u64(down, "memory_bytes")));
        print_blocks(json_array(down, "blocks"));
        storage_print(down);
}

/* Who uses a card. Processes that use files and devices on it, each with its ways of holding and what would be done about it;
 * then those that have memory on it, which just moves. */

static bool is_kind(json_object *holder, const char *kind) {
        return streq_ptr(json_str(holder, "kind"), kind);
}

static void print_on_remove(json_object *h) {
        json_object *rungs = json_array(h, "on_remove");

        if (json_flag(h, "protected"))
                print_colored(COLOR_BAD, "is never ended");
        else if (json_len(rungs) == 0)
                print_colored(COLOR_BAD, "must not be disturbed");
        else
                fputs("on removal: ", stdout);
        for (size_t i = 0; i < json_len(rungs); i++)
                printf("%s%s", i > 0 ? ", " : "", json_object_get_string(json_at(rungs, i)));
        if (json_str(h, "rule"))
                printf(" (%s)", json_str(h, "rule"));
        putchar('\n');
}

static void print_holds(json_object *h, size_t n_holds) {
        static const char *const headers[] = { "HOLDS BY", "PATH", "SIZE", "SEEN IN" };
        json_object *holds = json_array(h, "holds");
        size_t n = json_len(holds), shown = n < n_holds ? n : n_holds;
        uint64_t more = n - shown + json_u64(h, "more_holds");
        _cleanup_table_ Table *t = table_new(headers, ELEMENTSOF(headers));

        if (!t)
                return;
        for (size_t i = 0; i < shown; i++) {
                json_object *hold = json_at(holds, i);

                table_cell(t, COLOR_NONE, json_str(hold, "way"));
                table_cell(t, COLOR_NONE, json_str(hold, "path") ?: json_str(hold, "target"));
                table_cell(t, COLOR_NONE, json_u64(hold, "bytes") > 0 ? FORMAT_SIZE(json_u64(hold, "bytes")) : NULL);
                table_cell(t, COLOR_NONE, json_str(hold, "found"));
        }
        if (n > 0)
                table_print(t, "    ");
        if (more > 0)
                printf("    and %" PRIu64 " more\n", more);
}

/* With what it has open, or with the pages that a driver keeps for it, whatever became of its mappings. */
static void print_process(json_object *h, size_t n_holds) {
        printf("  process %" PRIu64 " (%s)", json_u64(h, "pid"), json_str(h, "comm") ?: "?");
        if (json_str(h, "unit"))
                printf(", %s", json_str(h, "unit"));
        printf(", uid %" PRIu64 ", ", json_u64(h, "uid"));
        if (is_kind(h, "pin")) {
                printf("pins %s (%s, %s): %s\n", FORMAT_SIZE(json_u64(h, "bytes")), json_str(h, "what") ?: "?", json_str(h, "grade") ?: "?",
                       json_str(h, "found") ?: "");
                return;
        }
        print_on_remove(h);
        print_holds(h, n_holds);
}

static void print_memory_holders(json_object *holders) {
        static const char *const headers[] = { "PID", "COMMAND", "UNIT", "UID", "NODE", "USES", "MEMORY" };
        _cleanup_table_ Table *t = table_new(headers, ELEMENTSOF(headers));
        size_t n = 0;

        if (!t)
                return;
        table_align_right(t, 0);
        table_align_right(t, 6);
        table_spare(t, 4);
        table_spare(t, 5);
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

static void print_holders(json_object *plan, size_t n_holds) {
        json_object *holders = json_array(plan, "holders");
        bool partial = json_has(plan, "holders_complete") && !json_flag(plan, "holders_complete");

        if (json_len(holders) == 0 && !partial)
                return;
        print_heading("Who uses it");
        for (size_t i = 0; i < json_len(holders); i++) {
                json_object *h = json_at(holders, i);

                if (is_kind(h, "process") || is_kind(h, "pin"))
                        print_process(h, n_holds);
                else if (is_kind(h, "nfs-export"))
                        printf("  NFS export of %s to %s\n", json_str(h, "path") ?: "?", json_str(h, "client") ?: "?");
        }
        print_memory_holders(holders);
        if (partial)
                print_colored(COLOR_WARN, "  not complete: there may be others\n");
}

enum {
        HOLDS_SHOWN = 3,       /* of each process; `explain` shows all */
};

static bool restores(json_object *plan) {
        return streq_ptr(json_str(plan, "kind"), "restore");
}

static void print_cards(json_object *slots) {
        puts("");
        for (size_t i = 0; i < json_len(slots); i++) {
                json_object *slot = json_at(slots, i), *card = json_get(slot, "card");
                printf("  slot %s: card %s, %s, serial %s\n", json_str(slot, "name") ?: "?", json_str(card, "bdf") ?: json_str(card, "nmem") ?: "?",
                       json_str(card, "memdev") ?: "no memdev", json_str(card, "serial") ?: "unknown");
        }
}

static void print_verdict(json_object *plan) {
        const bool back = restores(plan);
        const struct {
                const char *verdict;
                Color color;
                const char *text;
        } verdicts[] = {
                { "ready", COLOR_GOOD, back ? "can be restored" : json_has(plan, "self_test") ? "can be tested" : "can be removed" },
                { "blocked", COLOR_BAD, back ? "cannot be restored now" : json_has(plan, "self_test") ? "cannot be tested now" : "cannot be removed now" },
                { "nothing", COLOR_NONE, back ? "nothing to restore" : json_has(plan, "self_test") ? "nothing to test" : "nothing to remove" },
        };
        json_object *card = json_get(plan, "card");
        const char *verdict = json_str(plan, "verdict");

        _cleanup_free_ char *slots = slots_label(plan);

        printf("%s: ", slots);
        for (size_t i = 0; i < ELEMENTSOF(verdicts); i++)
                if (streq_ptr(verdicts[i].verdict, verdict))
                        print_colored(verdicts[i].color, "%s", verdicts[i].text);
        if (json_array(plan, "slots"))
                print_cards(json_array(plan, "slots"));
        else if (card)
                printf("  (card %s, %s, serial %s)\n", json_str(card, "bdf") ?: json_str(card, "nmem") ?: "?",
                       json_str(card, "memdev") ?: "no memdev", json_str(card, "serial") ?: "unknown");
        else
                puts("  (the slot is empty)");
        if (json_str(plan, "message"))
                printf("  %s\n", json_str(plan, "message"));
        else if (streq_ptr(json_str(plan, "kind"), "finish"))
                printf("  removal %s could not prove it safe: asks again, and sets the light\n", json_str(plan, "of"));
        else if (json_str(plan, "of"))
                printf("  what removal %s took down\n", json_str(plan, "of"));
}

/* Only what is there; the fate is told of what has any. */
static void print_memory(json_object *memory) {
        static const char *const headers[] = { "NODE", "PART", "MEMORY", "FATE" };
        json_object *nodes = json_array(memory, "nodes");
        _cleanup_table_ Table *t = table_new(headers, ELEMENTSOF(headers));
        size_t n = 0;

        if (!t)
                return;
        table_align_right(t, 2);
        for (size_t i = 0; i < json_len(nodes); i++) {
                json_object *node = json_at(nodes, i), *parts = json_array(node, "parts");
                for (size_t k = 0; k < json_len(parts); k++) {
                        json_object *p = json_at(parts, k);
                        if (json_u64(p, "bytes") == 0)
                                continue;
                        table_cellf(t, COLOR_NONE, "%" PRIu64, json_u64(node, "node"));
                        table_cell(t, COLOR_NONE, json_str(p, "part"));
                        table_cell(t, COLOR_NONE, FORMAT_SIZE(json_u64(p, "bytes")));
                        table_cell(t, COLOR_NONE, json_str(p, "fate"));
                        n++;
                }
        }
        if (n == 0)
                return;
        print_heading("What its memory is used for");
        table_print(t, "  ");
}

/* Those that are mounted nowhere have a number only. */
static void print_files(json_object *memory) {
        static const char *const headers[] = { "MEMORY", "FILE" };
        json_object *nodes = json_array(memory, "nodes");
        _cleanup_table_ Table *t = table_new(headers, ELEMENTSOF(headers));
        size_t n = 0;

        if (!t)
                return;
        table_align_right(t, 0);
        for (size_t i = 0; i < json_len(nodes); i++) {
                json_object *files = json_array(json_at(nodes, i), "files");
                for (size_t k = 0; k < json_len(files); k++, n++) {
                        json_object *f = json_at(files, k);
                        table_cell(t, COLOR_NONE, FORMAT_SIZE(json_u64(f, "bytes")));
                        if (json_str(f, "path"))
                                table_cell(t, COLOR_NONE, json_str(f, "path"));
                        else
                                table_cellf(t, COLOR_NONE, "inode %" PRIu64 " of %s", json_u64(f, "inode"), json_str(f, "dev") ?: "?");
                }
        }
        if (n == 0)
                return;
        print_heading("The largest files in it");
        table_print(t, "  ");
}

static void print_findings(json_object *findings, const char *heading, Color color) {
        if (json_len(findings) == 0)
                return;
        print_heading(heading);
        for (size_t i = 0; i < json_len(findings); i++) {
                json_object *f = json_at(findings, i), *remedy = json_array(f, "remedy");

                print_colored(color, "  %s", json_str(f, "code") ?: "?");
                printf("  %s\n", json_str(f, "what") ?: "");
                if (json_str(f, "evidence"))
                        printf("    seen:    %s\n", json_str(f, "evidence"));
                for (size_t k = 0; k < json_len(remedy); k++)
                        printf("%s    %s %s\n", output_as_it_is(), k == 0 ? "remedy: " : "        ", json_object_get_string(json_at(remedy, k)));
        }
}

static void print_steps(json_object *plan) {
        json_object *steps = json_array(plan, "steps");

        if (json_len(steps) == 0)
                return;
        print_heading("Steps");
        for (size_t i = 0; i < json_len(steps); i++) {
                json_object *s = json_at(steps, i);

                printf("  %2zu  ", i + 1);
                print_colored(COLOR_BOLD, "%s%-*s", restores(plan) ? "undo " : "", STEP_COLUMNS, json_str(s, "name") ?: "?");
                printf("  %s\n", json_str(s, "does") ?: "");
                if (json_str(s, "undo"))
                        printf("      %-*s  undo: %s\n", STEP_COLUMNS, "", json_str(s, "undo"));
                else if (!json_flag(s, "reversible") && !restores(plan))
                        printf("      %-*s  %sno way back%s\n", STEP_COLUMNS, "", color_start(COLOR_WARN), color_end());
        }
}

/* As the plan has them, each as a shell wants it. */
static char *targets_text(json_object *plan, const Args *a) {
        json_object *targets = json_array(plan, "targets");
        _cleanup_free_ char *text = targets ? strdup("") : shell_quoted(json_str(plan, "target") ?: a->target);

        for (size_t i = 0; i < json_len(targets); i++) {
                _cleanup_free_ char *target = shell_quoted(json_object_get_string(json_at(targets, i)));
                if (!target || text_add(&text, " ", "%s", target) < 0)
                        return NULL;
        }
        return TAKE_PTR(text);
}

/* The line to paste. Options that shaped this plan have to shape the next one too, or the digest does not match. */
static void print_run_line(json_object *plan, const Args *a) {
        _cleanup_free_ char *target = targets_text(plan, a);
        /* A recorded machine is somewhere else. */
        const char *label = client_is_recorded() ? "There" : "Run it", *command = client_is_recorded() ? "safe-remove" : client_command();

        if (!output.legend || !streq_ptr(json_str(plan, "verdict"), "ready"))
                return;
        if (restores(plan)) {
                printf("\n%s%s:  %s restore %s --plan %.*s%s%s\n", output_as_it_is(), label, command, target, DIGEST_SHORTEST,
                       json_str(plan, "digest") ?: "", a->equal_card ? " --equal-card=" : "", a->equal_card ?: "");
                return;
        }
        if (json_str(plan, "self_test")) {
                printf("\n%s%s:  %s self-test %s%s\n", output_as_it_is(), label, command, target, a->with_power ? " --with-power" : "");
                return;
        }
        printf("\n%s%s:  %s remove %s --plan %.*s", output_as_it_is(), label, command, target, DIGEST_SHORTEST, json_str(plan, "digest") ?: "");
        if (a->has_grace_sec)
                printf(" --grace %" PRIu32, a->grace_sec);
        if (a->has_offline_timeout_sec)
                printf(" --offline-timeout %" PRIu32, a->offline_timeout_sec);
        if (a->zone_normal)
                printf(" --zone-normal %s", a->zone_normal);
        if (a->force)
                printf(" --force=%s", a->force);
        if (a->sanitize) {
                _cleanup_free_ char *serials = streq(a->sanitize, "yes") ? NULL : shell_quoted(a->sanitize);
                printf(" --sanitize%s%s", serials ? "=" : "", serials ?: "");
        }
        putchar('\n');
}

static void print_reasons(json_object *plan) {
        print_verdict(plan);
        print_findings(json_array(plan, "blockers"), "Blockers", COLOR_BAD);
        print_findings(json_array(plan, "warnings"), "Warnings", COLOR_WARN);
        print_memory(json_get(plan, "memory"));
        print_files(json_get(plan, "memory"));
}

void plan_print_explanation(json_object *plan) {
        print_reasons(plan);
        print_holders(plan, SIZE_MAX);
        card_state_print(json_get(plan, "card_state"), "Card state");
}

void plan_print(json_object *plan, const Args *a) {
        bool back = restores(plan);

        print_reasons(plan);
        /* An empty slot's plan has the hold of a button's removal: nothing that the command would do. */
        if (streq_ptr(json_str(plan, "verdict"), "nothing"))
                return;
        print_takes_down(json_get(plan, back ? "brings_back" : "takes_down"), back ? "Brings back" : "Takes down");
        print_holders(plan, HOLDS_SHOWN);
        print_steps(plan);
        if (json_len(json_array(plan, "steps")) > 0) {
                printf("\nTakes about %s\n", FORMAT_DURATION(json_u64(plan, "eta_usec")));
                printf("Digest   %s\n", json_str(plan, "digest") ?: "-");
        }
        print_run_line(plan, a);
}

void plan_show(json_object *plan, const Args *a) {
        if (output.json != JSON_OFF)
                print_json(plan);
        else
                plan_print(plan, a);
}
