/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>

#include "base/clock.h"
#include "metrics-text.h"

char *metrics_label(const char *text) {
        _cleanup_free_ char *plain = utf8_from_bytes(text ?: ""), *quoted = NULL;
        size_t n = 0;

        if (!plain)
                return NULL;
        utf8_make_printable(plain);
        quoted = malloc(2 * strlen(plain) + 1);
        if (!quoted)
                return NULL;
        for (const char *p = plain; *p; p++) {
                if (*p == '\\' || *p == '"')
                        quoted[n++] = '\\';
                quoted[n++] = *p;
        }
        quoted[n] = '\0';
        return TAKE_PTR(quoted);
}

/* What stands above the samples of one name. */
static void family(FILE *f, const char *name, const char *type, const char *help) {
        fprintf(f, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* `labels`: names and values in turn, NULL after them. */
static void labels_print(FILE *f, const char *const *labels) {
        const char *before = "{";

        for (; *labels; labels += 2) {
                _cleanup_free_ char *value = metrics_label(labels[1]);
                fprintf(f, "%s%s=\"%s\"", before, labels[0], value ?: "");
                before = ",";
        }
        if (*before == ',')
                fputc('}', f);
}

#define LABELS(...) ((const char *const[]) { __VA_ARGS__ __VA_OPT__(,) NULL })

static void sample(FILE *f, const char *name, const char *const *labels, uint64_t value) {
        fputs(name, f);
        labels_print(f, labels);
        fprintf(f, " %" PRIu64 "\n", value);
}

/* Seconds, and no digit more than are known. */
static void sample_usec(FILE *f, const char *name, const char *const *labels, uint64_t usec) {
        fputs(name, f);
        labels_print(f, labels);
        fprintf(f, " %" PRIu64 ".%06" PRIu64 "\n", usec / USEC_PER_SEC, usec % USEC_PER_SEC);
}

static void alone(FILE *f, const char *name, const char *help, uint64_t value) {
        family(f, name, "gauge", help);
        sample(f, name, LABELS(), value);
}

static const char *slot_name(json_object *slot) {
        return json_str(slot, "label") ?: "";
}

/* Two names that are the same once they can be printed would be one time series with two values, and nobody takes a file with that. */
static void name_slots(json_object *slots) {
        for (size_t i = 0; i < json_len(slots); i++) {
                json_object *slot = json_at(slots, i);
                _cleanup_free_ char *name = strdup(json_str(slot, "name") ?: "");

                if (!name)
                        continue;
                utf8_make_printable(name);
                for (size_t k = 0; json_find(slots, "label", name) && k < json_len(slots); k++)
                        (void) text_add(&name, "", "~");
                json_set_str(slot, "label", name);
        }
}

/* 1 or 0 for each slot. */
static void flags(FILE *f, json_object *slots, const char *name, const char *key, const char *help) {
        family(f, name, "gauge", help);
        for (size_t i = 0; i < json_len(slots); i++)
                sample(f, name, LABELS("slot", slot_name(json_at(slots, i))), json_flag(json_at(slots, i), key));
}

static void print_states(FILE *f, json_object *slots) {
        static const struct {
                const char *indicator, *key;
        } lights[] = { { "power", "power_led" }, { "attention", "attention_led" } };

        family(f, "safe_remove_slot_info", "gauge", "What is in a slot, in its labels.");
        for (size_t i = 0; i < json_len(slots); i++) {
                json_object *s = json_at(slots, i);
                sample(f, "safe_remove_slot_info", LABELS("slot", slot_name(s), "port", json_str(s, "port") ?: "", "card", json_str(s, "card_address") ?: "",
                                                          "memdev", json_str(s, "memdev") ?: "", "serial", json_str(s, "serial") ?: ""), 1);
        }
        family(f, "safe_remove_slot_state", "gauge", "1 for the state that a slot is in.");
        for (size_t i = 0; i < json_len(slots); i++)
                sample(f, "safe_remove_slot_state", LABELS("slot", slot_name(json_at(slots, i)), "state", json_str(json_at(slots, i), "state") ?: "unknown"), 1);
        family(f, "safe_remove_slot_light", "gauge", "1 for what an indicator of a slot shows: on, off, blink, or none where there is none.");
        for (size_t i = 0; i < json_len(slots); i++)
                for (size_t k = 0; k < ELEMENTSOF(lights); k++)
                        sample(f, "safe_remove_slot_light", LABELS("slot", slot_name(json_at(slots, i)), "indicator", lights[k].indicator, "shows",
                                                                   json_str(json_at(slots, i), lights[k].key) ?: "unknown"), 1);
        flags(f, slots, "safe_remove_slot_occupied", "occupied", "Whether there is a card.");
        flags(f, slots, "safe_remove_slot_held", "held", "Whether the slot was taken from the kernel when it was last looked at; a running removal holds its own.");
        flags(f, slots, "safe_remove_slot_stale", "stale", "Whether the last look at the machine failed: what is said of the slot is of the look before.");
        family(f, "safe_remove_slot_memory_stays", "gauge", "Whether it is known that the memory of the card will never leave.");
        for (size_t i = 0; i < json_len(slots); i++) {
                const char *why = json_str(json_at(slots, i), "memory_stays");
                sample(f, "safe_remove_slot_memory_stays", LABELS("slot", slot_name(json_at(slots, i))), why && *why);
        }
}

static size_t count_code(json_object *blockers, const char *code) {
        size_t n = 0;

        for (size_t i = 0; i < json_len(blockers); i++)
                n += streq(json_str(json_at(blockers, i), "code") ?: "", code);
        return n;
}

/* Nothing but "ready" says that a card can go; whatever else it is has a reason. */
static void print_reasons(FILE *f, json_object *slot, const char *name) {
        const char *verdict = json_str(slot, "verdict");
        json_object *blockers = json_array(slot, "blockers");

        if (streq_ptr(verdict, "ready"))
                return;
        for (size_t i = 0; i < json_len(blockers); i++) {
                const char *code = json_str(json_at(blockers, i), "code") ?: "";
                size_t first = 0;
                while (!streq(json_str(json_at(blockers, first), "code") ?: "", code))
                        first++;
                if (first == i)
                        sample(f, name, LABELS("slot", slot_name(slot), "code", code), count_code(blockers, code));
        }
        if (json_len(blockers) == 0)
                sample(f, name, LABELS("slot", slot_name(slot), "code", verdict ?: "no-plan"), 1);
}

static void print_plans(FILE *f, json_object *slots) {
        static const char *const name = "safe_remove_slot_removable", *const why = "safe_remove_slot_blockers";

        family(f, name, "gauge", "Whether the card could be removed now, as a plan has it.");
        for (size_t i = 0; i < json_len(slots); i++)
                if (json_flag(json_at(slots, i), "occupied"))
                        sample(f, name, LABELS("slot", slot_name(json_at(slots, i))), streq_ptr(json_str(json_at(slots, i), "verdict"), "ready"));
        family(f, why, "gauge", "How many things of a kind are in the way of that, by the code of the plan.");
        for (size_t i = 0; i < json_len(slots); i++)
                if (json_flag(json_at(slots, i), "occupied"))
                        print_reasons(f, json_at(slots, i), why);
}

static void print_totals(FILE *f, json_object *totals) {
        json_object *removals = json_array(totals, "removals"), *steps = json_array(totals, "steps");
        uint64_t since = json_u64(totals, "since_usec");

        alone(f, "safe_remove_totals_intact", "Whether the counters are those of all removals: 0 where their file is damaged or cannot be read.",
              totals && !json_flag(totals, "damaged"));
        if (!totals)
                return;
        if (since > 0) {
                family(f, "safe_remove_totals_begun_timestamp_seconds", "gauge", "When the file of the counters was begun.");
                sample_usec(f, "safe_remove_totals_begun_timestamp_seconds", LABELS(), since);
        }
        family(f, "safe_remove_removals_total", "counter", "Removals and restorations that have ended, by how.");
        for (size_t i = 0; i < json_len(removals); i++) {
                json_object *row = json_at(removals, i);
                sample(f, "safe_remove_removals_total", LABELS("kind", json_str(row, "kind") ?: "", "outcome", json_str(row, "outcome") ?: "", "code",
                                                               json_str(row, "code") ?: ""), json_u64(row, "count"));
        }
        family(f, "safe_remove_step_seconds", "summary", "How long the steps of ended removals took: on the way down, and on the way back.");
        for (size_t i = 0; i < json_len(steps); i++) {
                json_object *row = json_at(steps, i);
                const char *const *labels = LABELS("step", json_str(row, "step") ?: "", "direction", json_str(row, "direction") ?: "");
                sample_usec(f, "safe_remove_step_seconds_sum", labels, json_u64(row, "usec"));
                sample(f, "safe_remove_step_seconds_count", labels, json_u64(row, "count"));
        }
}

char *metrics_text(json_object *o) {
        json_object *slots = json_array(o, "slots"), *manager = json_get(o, "manager");
        bool up = json_flag(o, "up");
        char *text = NULL;
        size_t size = 0;
        FILE *f = open_memstream(&text, &size);

        if (!f)
                return NULL;
        name_slots(slots);
        family(f, "safe_remove_build_info", "gauge", "Versions of the command and of the daemon, in the labels.");
        sample(f, "safe_remove_build_info", LABELS("version", json_str(o, "version") ?: "", "daemon", json_str(manager, "version") ?: ""), 1);
        alone(f, "safe_remove_up", "Whether the daemon answers; without it nothing else is known.", up);
        if (up) {
                alone(f, "safe_remove_records_read", "Whether the daemon has read the records of earlier removals.", json_flag(manager, "records_read"));
                alone(f, "safe_remove_removals_running", "Removals and restorations under way.", json_u64(manager, "running_count"));
                family(f, "safe_remove_last_look_timestamp_seconds", "gauge", "When the daemon last saw the whole machine; it looks when something happens.");
                sample_usec(f, "safe_remove_last_look_timestamp_seconds", LABELS(), json_u64(manager, "last_look_usec"));
                print_states(f, slots);
                print_plans(f, slots);
                print_totals(f, json_get(o, "totals"));
        }
        bool failed = ferror(f);
        if (fclose(f) != 0 || failed) {
                free(text);
                return NULL;
        }
        return text;
}
