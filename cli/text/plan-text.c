/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>

#include "cli/removal.h"
#include "format.h"
#include "output.h"
#include "plan-text-parts.h"
#include "plan-text.h"

enum {
        HOLDS_SHOWN = 3,       /* of each process; `explain` shows all */
};

void plan_print_heading(const char *text) {
        if (!output.legend)
                return;
        putchar('\n');
        print_colored(COLOR_BOLD, "%s\n", text);
}

static bool restores(json_object *plan) {
        return streq_ptr(json_str(plan, "kind"), "restore");
}

static void print_cards(json_object *slots) {
        puts("");
        for (size_t i = 0; i < json_len(slots); i++) {
                json_object *slot = json_at(slots, i), *card = json_get(slot, "card");
                printf("  slot %s: card %s, %s, serial %s\n", json_str(slot, "name") ?: "?", json_str(card, "bdf") ?: "?",
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
                { "ready", COLOR_GOOD, back ? "can be restored" : "can be removed" },
                { "blocked", COLOR_BAD, back ? "cannot be restored now" : "cannot be removed now" },
                { "nothing", COLOR_NONE, back ? "nothing to restore" : "nothing to remove" },
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
        plan_print_heading("What its memory is used for");
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
        plan_print_heading("The largest files in it");
        table_print(t, "  ");
}

static void print_findings(json_object *findings, const char *heading, Color color) {
        if (json_len(findings) == 0)
                return;
        plan_print_heading(heading);
        for (size_t i = 0; i < json_len(findings); i++) {
                json_object *f = json_at(findings, i), *remedy = json_array(f, "remedy");

                print_colored(color, "  %s", json_str(f, "code") ?: "?");
                printf("  %s\n", json_str(f, "what") ?: "");
                if (json_str(f, "evidence"))
                        printf("    seen:    %s\n", json_str(f, "evidence"));
                for (size_t k = 0; k < json_len(remedy); k++)
                        printf("    %s %s\n", k == 0 ? "remedy: " : "        ", json_object_get_string(json_at(remedy, k)));
        }
}

static void print_steps(json_object *plan) {
        json_object *steps = json_array(plan, "steps");

        if (json_len(steps) == 0)
                return;
        plan_print_heading("Steps");
        for (size_t i = 0; i < json_len(steps); i++) {
                json_object *s = json_at(steps, i);

                printf("  %2zu  ", i + 1);
                print_colored(COLOR_BOLD, "%s%-16s", restores(plan) ? "undo " : "", json_str(s, "name") ?: "?");
                printf("  %s\n", json_str(s, "does") ?: "");
                if (json_str(s, "undo"))
                        printf("      %-16s  undo: %s\n", "", json_str(s, "undo"));
                else if (!json_flag(s, "reversible") && !restores(plan))
                        printf("      %-16s  %sno way back%s\n", "", color_start(COLOR_WARN), color_end());
        }
}

/* As the plan has them, each as a shell wants it. */
static char *targets_text(json_object *plan, const Args *a) {
        json_object *targets = json_array(plan, "targets");
        char *text = targets ? strdup("") : shell_quoted(json_str(plan, "target") ?: a->target);

        for (size_t i = 0; i < json_len(targets) && text; i++) {
                _cleanup_free_ char *target = shell_quoted(json_object_get_string(json_at(targets, i)));
                char *more = strf("%s%s%s", text, i > 0 ? " " : "", target);
                free(text);
                text = more;
        }
        return text;
}

/* The line to paste. Options that shaped this plan have to shape the next one too, or the digest does not match. */
static void print_run_line(json_object *plan, const Args *a) {
        _cleanup_free_ char *target = targets_text(plan, a);

        if (!output.legend || !streq_ptr(json_str(plan, "verdict"), "ready"))
                return;
        if (restores(plan)) {
                printf("\nRun it:  safe-remove restore %s%s%s\n", target, a->equal_card ? " --equal-card=" : "", a->equal_card ?: "");
                return;
        }
        printf("\nRun it:  safe-remove remove %s --plan %s", target, json_str(plan, "digest") ?: "");
        if (a->has_grace)
                printf(" --grace %" PRIu32, a->grace_sec);
        if (a->has_offline_timeout)
                printf(" --offline-timeout %" PRIu32, a->offline_timeout_sec);
        if (a->zone_normal)
                printf(" --zone-normal %s", a->zone_normal);
        if (a->force)
                printf(" --force=%s", a->force);
        putchar('\n');
}

static void print_reasons(json_object *plan) {
        print_verdict(plan);
        print_findings(json_array(plan, "blockers"), "In the way", COLOR_BAD);
        print_findings(json_array(plan, "warnings"), "Good to know", COLOR_WARN);
        print_memory(json_get(plan, "memory"));
        print_files(json_get(plan, "memory"));
}

void plan_print_explanation(json_object *plan) {
        print_reasons(plan);
        plan_print_holders(plan, SIZE_MAX);
}

void plan_print(json_object *plan, const Args *a) {
        bool back = restores(plan);

        print_reasons(plan);
        /* An empty slot's plan has the hold of a button's removal: nothing that the command would do. */
        if (streq_ptr(json_str(plan, "verdict"), "nothing"))
                return;
        plan_print_takes_down(json_get(plan, back ? "brings_back" : "takes_down"), back ? "Brings back" : "Takes down");
        plan_print_holders(plan, HOLDS_SHOWN);
        print_steps(plan);
        if (json_len(json_array(plan, "steps")) > 0) {
                printf("\nTakes about %s\n", FORMAT_DURATION(json_u64(plan, "eta_usec")));
                if (!back)
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
