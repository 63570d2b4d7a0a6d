/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>

#include "format.h"
#include "output.h"
#include "plan-text.h"

static void print_heading(const char *text) {
        if (!output.legend)
                return;
        putchar('\n');
        print_colored(COLOR_BOLD, "%s\n", text);
}

static void print_verdict(json_object *plan) {
        static const struct {
                const char *verdict;
                Color color;
                const char *text;
        } verdicts[] = {
                { "ready", COLOR_GOOD, "can be removed" },
                { "blocked", COLOR_BAD, "cannot be removed now" },
                { "nothing", COLOR_NONE, "nothing to remove" },
        };
        json_object *card = json_get(plan, "card");
        const char *verdict = json_str(plan, "verdict");

        printf("slot %s: ", json_str(json_get(plan, "slot"), "name") ?: "?");
        for (size_t i = 0; i < ELEMENTSOF(verdicts); i++)
                if (streq_ptr(verdicts[i].verdict, verdict))
                        print_colored(verdicts[i].color, "%s", verdicts[i].text);
        if (card)
                printf("  (card %s, %s, serial %s)\n", json_str(card, "bdf") ?: "?", json_str(card, "memdev") ?: "no memdev",
                       json_str(card, "serial") ?: "unknown");
        else
                puts("  (the slot is empty)");
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

static void print_takes_down(json_object *down) {
        json_object *regions = json_array(down, "regions"), *dax = json_array(down, "dax"), *nodes = json_array(down, "nodes");

        if (json_len(regions) + json_len(dax) + json_len(nodes) == 0)
                return;
        print_heading("Takes down");
        for (size_t i = 0; i < json_len(regions); i++)
                print_region(json_at(regions, i));
        for (size_t i = 0; i < json_len(dax); i++)
                printf("  %s\n", json_object_get_string(json_at(dax, i)));
        for (size_t i = 0; i < json_len(nodes); i++)
                printf("  node%" PRIu64 "\n", json_object_get_uint64(json_at(nodes, i)));
        if (json_u64(down, "memory_bytes") > 0)
                printf("  memory in use as system RAM: %s\n", FORMAT_SIZE(json_u64(down, "memory_bytes")));
        print_blocks(json_array(down, "blocks"));
}

static void print_holders(json_object *plan) {
        static const char *const headers[] = { "PID", "COMMAND", "UNIT", "UID", "NODE", "USES", "MEMORY" };
        json_object *holders = json_array(plan, "holders");
        bool partial = json_has(plan, "holders_complete") && !json_flag(plan, "holders_complete");

        if (json_len(holders) == 0 && !partial)
                return;
        print_heading("Who uses it");
        _cleanup_table_ Table *t = table_new(headers, ELEMENTSOF(headers));
        if (!t)
                return;
        table_align_right(t, 0);
        table_align_right(t, 6);
        for (size_t i = 0; i < json_len(holders); i++) {
                json_object *h = json_at(holders, i);
                table_cellf(t, COLOR_NONE, "%" PRIu64, json_u64(h, "pid"));
                table_cell(t, COLOR_NONE, json_str(h, "comm"));
                table_cell(t, COLOR_NONE, json_str(h, "unit"));
                table_cellf(t, COLOR_NONE, "%" PRIu64, json_u64(h, "uid"));
                table_cellf(t, COLOR_NONE, "%" PRIu64, json_u64(h, "node"));
                table_cell(t, COLOR_NONE, json_str(h, "kind"));
                table_cell(t, COLOR_NONE, FORMAT_SIZE(json_u64(h, "bytes")));
        }
        if (json_len(holders) > 0)
                table_print(t, "  ");
        if (partial)
                print_colored(COLOR_WARN, "  not complete: there may be others\n");
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
                        printf("    %s %s\n", k == 0 ? "remedy: " : "        ", json_object_get_string(json_at(remedy, k)));
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
                print_colored(COLOR_BOLD, "%-16s", json_str(s, "name") ?: "?");
                printf("  %s\n", json_str(s, "does") ?: "");
                if (json_str(s, "undo"))
                        printf("      %-16s  undo: %s\n", "", json_str(s, "undo"));
                else if (!json_flag(s, "reversible"))
                        printf("      %-16s  %sno way back%s\n", "", color_start(COLOR_WARN), color_end());
        }
}

/* The line to paste. Options that shaped this plan have to shape the next one too, or the digest does not match. */
static void print_run_line(json_object *plan, const Args *a) {
        const char *target = json_str(plan, "target") ?: a->target;

        if (!output.legend || !streq_ptr(json_str(plan, "verdict"), "ready"))
                return;
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

void plan_print_explanation(json_object *plan) {
        print_verdict(plan);
        print_findings(json_array(plan, "blockers"), "In the way", COLOR_BAD);
        print_findings(json_array(plan, "warnings"), "Good to know", COLOR_WARN);
}

void plan_print(json_object *plan, const Args *a) {
        plan_print_explanation(plan);
        /* An empty slot's plan has the hold of a button's removal: nothing that the command would do. */
        if (streq_ptr(json_str(plan, "verdict"), "nothing"))
                return;
        print_takes_down(json_get(plan, "takes_down"));
        print_holders(plan);
        print_steps(plan);
        if (json_len(json_array(plan, "steps")) > 0) {
                printf("\nTakes about %s\n", FORMAT_DURATION(json_u64(plan, "eta_usec")));
                printf("Digest   %s\n", json_str(plan, "digest") ?: "-");
        }
        print_run_line(plan, a);
}
