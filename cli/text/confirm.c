/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>
#include <unistd.h>

#include "cli/removal.h"
#include "confirm.h"
#include "format.h"
#include "output.h"
#include "wrap.h"

enum {
        NAMES_SHOWN = 8,        /* of a kind; the plan has all */
};

bool confirm_can_ask(const Args *a) {
        return !a->yes && output.json == JSON_OFF && isatty(STDIN_FILENO) && isatty(STDERR_FILENO);
}

/* A label and names with commas between them, the first few. */
typedef struct Row {
        const char *label;
        char *text;
        size_t n;
} Row;

static void row_done(Row *r) {
        free(r->text);
}

static void row_add(Row *r, const char *format, ...) _printf_(2, 3);

static void row_add(Row *r, const char *format, ...) {
        va_list ap;

        if (r->n++ >= NAMES_SHOWN)
                return;
        va_start(ap, format);
        _cleanup_free_ char *name = strfv(format, ap);
        va_end(ap);
        (void) text_add(&r->text, ", ", "%s", name ?: "?");
}

static void row_print(FILE *f, const Row *r) {
        if (!r->text)
                return;
        fprintf(f, "  %-13s  %s", r->label, r->text);
        if (r->n > NAMES_SHOWN)
                fprintf(f, " and %zu more", r->n - NAMES_SHOWN);
        fputc('\n', f);
}

static void print_names(FILE *f, const char *label, json_object *items, const char *key) {
        _cleanup_(row_done) Row row = { .label = label };

        for (size_t i = 0; i < json_len(items); i++) {
                json_object *item = json_at(items, i);
                row_add(&row, "%s", key ? json_str(item, key) ?: "?" : json_object_get_string(item));
        }
        row_print(f, &row);
}

static void print_devices(FILE *f, json_object *down) {
        static const struct {
                const char *label, *array, *key;
        } kinds[] = {
                { "regions", "regions", "name" }, { "dax devices", "dax", NULL }, { "namespaces", "namespaces", "name" },
                { "devices", "block_devices", "name" }, { "swap", "swaps", "path" },
        };
        _cleanup_(row_done) Row others = { .label = "also loses it" }, mounts = { .label = "file systems" };
        json_object *regions = json_array(down, "regions"), *systems = json_array(down, "file_systems");

        if (json_u64(down, "memory_bytes") > 0)
                fprintf(f, "  %-13s  %s of System RAM\n", "memory", FORMAT_SIZE(json_u64(down, "memory_bytes")));
        for (size_t i = 0; i < ELEMENTSOF(kinds); i++)
                print_names(f, kinds[i].label, json_array(down, kinds[i].array), kinds[i].key);
        for (size_t i = 0; i < json_len(systems); i++) {
                json_object *places = json_array(json_at(systems, i), "mounts");
                for (size_t k = 0; k < json_len(places); k++)
                        row_add(&mounts, "%s", json_str(json_at(places, k), "target") ?: "?");
        }
        row_print(f, &mounts);
        for (size_t i = 0; i < json_len(regions); i++) {
                json_object *peers = json_array(json_at(regions, i), "peers");
                for (size_t k = 0; k < json_len(peers); k++)
                        row_add(&others, "slot %s (serial %s)", json_str(json_at(peers, k), "slot") ?: "none", json_str(json_at(peers, k), "serial") ?: "unknown");
        }
        row_print(f, &others);
}

/* Those that use files and devices of it are made to leave; whoever has only memory on it goes on. */
static void print_processes(FILE *f, json_object *holders) {
        _cleanup_(row_done) Row row = { .label = "processes" };

        for (size_t i = 0; i < json_len(holders); i++) {
                json_object *h = json_at(holders, i);
                if (streq_ptr(json_str(h, "kind"), "process") && json_len(json_array(h, "on_remove")) > 0)
                        row_add(&row, "%" PRIu64 " (%s)", json_u64(h, "pid"), json_str(h, "comm") ?: "?");
        }
        if (row.n > 0)
                fprintf(f, "  %-13s  %zu %s ended, if need be\n", "", row.n, row.n == 1 ? "is" : "are");
        row_print(f, &row);
}

static void print_card(FILE *f, json_object *slot, json_object *card) {
        fprintf(f, "  slot %-8s  card %s, %s, serial %s\n", json_str(slot, "name") ?: "?", json_str(card, "bdf") ?: json_str(card, "nmem") ?: "?",
                json_str(card, "memdev") ?: "no memdev", json_str(card, "serial") ?: "unknown");
}

static void print_what(FILE *f, json_object *plan, const Args *a) {
        bool restores = streq_ptr(json_str(plan, "kind"), "restore");
        json_object *slots = json_array(plan, "slots");
        char host[FORMAT_MAX] = "";
        _cleanup_free_ char *label = slots_label(plan);

        (void) gethostname(host, sizeof(host) - 1);
        fprintf(f, "%s %s on %s:\n", a->self_test ? "Test, and put back, the card of" : restores ? "Restore what was on the card of" :
                a->verb && streq(a->verb->name, "replace") ? "Remove, and restore on the next card, that of" : "Remove the card of", label,
                client_host() ?: (*host ? host : "this machine"));
        for (size_t i = 0; i < json_len(slots); i++)
                print_card(f, json_at(slots, i), json_get(json_at(slots, i), "card"));
        if (!slots)
                print_card(f, json_get(plan, "slot"), json_get(plan, "card"));
        print_devices(f, json_get(plan, restores ? "brings_back" : "takes_down"));
        print_processes(f, json_array(plan, "holders"));
        if (a->force)
                fprintf(f, "  %-13s  %s\n", "forced", a->force);
        if (a->ignore_inhibitors)
                fprintf(f, "  %-13s  whoever keeps it (%s inhibitors)\n", "passed over", client_command());
        if (a->self_test)
                fprintf(f, "  %-13s  %s\n", "its lights", "blink; they never say that the card can be pulled while it has power");
        if (a->with_power)
                fprintf(f, "  %-13s  is switched off and on again\n", "its POWER");
        if (a->sanitize)
                fprintf(f, "  %-13s  all that is on the card; there is no way back\n", "ERASED");
}

bool confirm_plan(json_object *plan, const Args *a) {
        _cleanup_free_ char *text = NULL, *line = NULL;
        size_t size = 0;
        FILE *f = open_memstream(&text, &size);

        if (!f)
                return false;
        print_what(f, plan, a);
        if (fclose(f) != 0)
                return false;

        _cleanup_free_ char *wrapped = text_wrap(text, terminal_columns());
        size_t room = 0;
        fprintf(stderr, "%sGo ahead? [y/N] ", wrapped ?: text);
        if (getline(&line, &room, stdin) < 0)
                fputc('\n', stderr);
        return line && (strcasecmp(line, "y\n") == 0 || strcasecmp(line, "yes\n") == 0);
}

ExitCode confirm_declined(void) {
        return fail_with_hint(CODE_BLOCKED, NULL, "-y goes ahead without the question", "not confirmed: nothing was touched");
}
