/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/util.h"
#include "cli/text/format.h"
#include "cli/text/output.h"
#include "slots-view.h"

enum {
        WIDE = 120,             /* columns, from which on all of a list fits */
};

/* A memory module in a socket: its part of the regions of its bus that it is in. */
static uint64_t module_bytes(json_object *topology, const char *slot) {
        json_object *nmem = json_find(json_array(topology, "nmems"), "slot", slot), *regions = json_array(topology, "nd_regions");
        uint64_t bytes = 0;

        for (size_t i = 0; nmem && !json_str(nmem, "memdev") && i < json_len(regions); i++) {
                json_object *members = json_array(json_at(regions, i), "nmems");
                for (size_t k = 0; k < json_len(members); k++)
                        if (streq_ptr(json_object_get_string(json_at(members, k)), json_str(nmem, "name")))
                                bytes += json_u64(json_at(regions, i), "size") / json_len(members);
        }
        return bytes;
}

void slots_add_memory(json_object *slots, json_object *topology) {
        json_object *memdevs = json_array(topology, "memdevs");

        for (size_t i = 0; i < json_len(slots); i++) {
                json_object *slot = json_at(slots, i);
                uint64_t ram = 0, pmem = module_bytes(topology, json_str(slot, "name"));

                for (size_t k = 0; k < json_len(memdevs); k++) {
                        json_object *m = json_at(memdevs, k);
                        if (!streq_ptr(json_str(m, "slot"), json_str(slot, "name")))
                                continue;
                        ram += json_u64(m, "ram_bytes");
                        pmem += json_u64(m, "pmem_bytes");
                }
                json_set_u64(slot, "ram_bytes", ram);
                json_set_u64(slot, "pmem_bytes", pmem);
        }
}

static Color state_color(const char *state) {
        static const struct {
                const char *state;
                Color color;
        } colors[] = {
                { "safe", COLOR_GOOD },    { "removing", COLOR_WARN }, { "refused", COLOR_WARN },
                { "stuck", COLOR_BAD },    { "empty", COLOR_DIM },     { "withdrawn", COLOR_BAD }, { "unknown", COLOR_BAD },
                { "lost", COLOR_BAD },
        };

        for (size_t i = 0; i < ELEMENTSOF(colors); i++)
                if (streq_ptr(colors[i].state, state))
                        return colors[i].color;
        return COLOR_NONE;
}

static void memory_cell(Table *t, json_object *slot) {
        uint64_t ram = json_u64(slot, "ram_bytes"), pmem = json_u64(slot, "pmem_bytes");

        if (ram > 0 && pmem > 0)
                table_cellf(t, COLOR_NONE, "%s + %s pmem", FORMAT_SIZE(ram), FORMAT_SIZE(pmem));
        else if (pmem > 0)
                table_cellf(t, COLOR_NONE, "%s pmem", FORMAT_SIZE(pmem));
        else
                table_cell(t, COLOR_NONE, ram > 0 ? FORMAT_SIZE(ram) : NULL);
}

static void state_cell(Table *t, json_object *slot) {
        const char *state = json_str(slot, "state");

        if (json_flag(slot, "stale"))
                table_cellf(t, COLOR_WARN, "%s (stale)", state ?: "?");
        else
                table_cell(t, state_color(state), state);
}

/* What a table has of each slot, however wide it is. */
static void slot_cells(Table *t, json_object *s) {
        static const char *const middle[] = { "card_address", "memdev", "serial" };

        table_cell(t, COLOR_NONE, json_str(s, "name"));
        state_cell(t, s);
        for (size_t k = 0; k < ELEMENTSOF(middle); k++)
                table_cell(t, COLOR_NONE, json_str(s, middle[k]));
        memory_cell(t, s);
}

static void print_wide(json_object *slots) {
        static const char *const headers[] = {
                "SLOT", "STATE", "CARD", "MEMDEV", "SERIAL", "MEMORY", "POWER", "POWER-LED", "ATTENTION-LED",
        };
        static const char *const tail[] = { "power", "power_led", "attention_led" };
        _cleanup_table_ Table *t = table_new(headers, ELEMENTSOF(headers));

        if (!t)
                return;
        for (size_t i = 0; i < json_len(slots); i++) {
                json_object *s = json_at(slots, i);

                slot_cells(t, s);
                for (size_t k = 0; k < ELEMENTSOF(tail); k++)
                        table_cell(t, COLOR_NONE, json_str(s, tail[k]));
        }
        table_print(t, "");
}

/* For a terminal: the lights in one column, and nothing that `show` tells as well. */
static void print_narrow(json_object *slots, const size_t *spare, size_t n_spare) {
        static const char *const headers[] = { "SLOT", "STATE", "CARD", "MEMDEV", "SERIAL", "MEMORY", "PWR/ATT" };
        _cleanup_table_ Table *t = table_new(headers, ELEMENTSOF(headers));

        if (!t)
                return;
        for (size_t i = 0; i < n_spare; i++)
                table_spare(t, spare[i]);
        for (size_t i = 0; i < json_len(slots); i++) {
                json_object *s = json_at(slots, i);

                slot_cells(t, s);
                table_cellf(t, COLOR_NONE, "%s/%s", json_str(s, "power_led") ?: "-", json_str(s, "attention_led") ?: "-");
        }
        table_print(t, "");
}

void slots_print(json_object *slots) {
        if (output.columns > 0 && output.columns < WIDE)
                print_narrow(slots, (const size_t[]) { 3 }, 1);
        else
                print_wide(slots);
}

void slots_print_small(json_object *slots) {
        static const size_t spare[] = { 3, 2, 4, 5 };

        print_narrow(slots, spare, ELEMENTSOF(spare));
}

void slots_print_stays(json_object *slots, const char *only) {
        for (size_t i = 0; i < json_len(slots); i++) {
                const char *stays = json_str(json_at(slots, i), "memory_stays"), *name = json_str(json_at(slots, i), "name") ?: "?";

                if (!stays || !*stays || (only && !streq(only, name)))
                        continue;
                print_colored(COLOR_WARN, "slot %s: the card's memory will not leave again", name);
                printf(": %s (safe-remove explain %s)\n", stays, name);
        }
}

void slots_print_located(json_object *slots, const char *only) {
        for (size_t i = 0; i < json_len(slots); i++) {
                const char *name = json_str(json_at(slots, i), "name") ?: "?";
                _cleanup_free_ char *word = shell_quoted(name);

                if (json_u64(json_at(slots, i), "located_until") > 0 && (!only || streq(only, name)))
                        printf("slot %s: its attention LED blinks so that somebody finds it (safe-remove locate %s --off)\n", name, word);
        }
}

void slots_print_vanished(json_object *topology) {
        json_object *disks = json_array(topology, "vanished");

        for (size_t i = 0; i < json_len(disks); i++) {
                const char *slot = json_str(json_at(disks, i), "slot");
                json_object *lost = json_array(json_at(disks, i), "lost");

                printf("%s%s%s: the disk %s is gone, and still in use: %s\n", slot ? "slot " : "slot not known", slot ?: "",
                       slot ? ", which has another card now" : "", json_str(json_at(disks, i), "device") ?: "?", json_object_get_string(json_at(lost, 0)) ?: "?");
        }
}
