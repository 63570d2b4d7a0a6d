/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>

#include "base/parse.h"
#include "card-view.h"
#include "format.h"
#include "output.h"
#include "storage-text.h"

/* A section of the page: a heading and a table with one row an item. Nothing at all for no items. */
static void print_section(const char *heading, json_object *items, const char *const *headers, size_t n_headers,
                          void (*row)(Table *t, json_object *item)) {
        if (json_len(items) == 0)
                return;

        _cleanup_table_ Table *t = table_new(headers, n_headers);
        if (!t)
                return;
        for (size_t i = 0; i < json_len(items); i++)
                row(t, json_at(items, i));
        if (output.legend) {
                putchar('\n');
                print_colored(COLOR_BOLD, "%s\n", heading);
        }
        table_print(t, "  ");
}

static void cell_u64(Table *t, json_object *o, const char *key) {
        if (json_has(o, key))
                table_cellf(t, COLOR_NONE, "%" PRIu64, json_u64(o, key));
        else
                table_cell(t, COLOR_NONE, NULL);
}

static void cell_size(Table *t, json_object *o, const char *key) {
        table_cell(t, COLOR_NONE, FORMAT_SIZE(json_u64(o, key)));
}

static void cell_str(Table *t, json_object *o, const char *key) {
        table_cell(t, COLOR_NONE, json_str(o, key));
}

static void print_slot(json_object *view) {
        json_object *slot = json_get(view, "slot"), *card = json_get(slot, "card"), *memdevs = json_array(view, "memdevs");

        printf("slot %s: ", json_str(slot, "name"));
        if (card)
                printf("card %s, %s, serial %s\n", json_str(card, "bdf") ?: json_str(card, "nmem") ?: "?", json_str(card, "memdev") ?: "no memdev",
                       json_str(card, "serial") ?: "unknown");
        else
                puts(json_flag(slot, "occupied") ? "card present, not in use" : "empty");
        printf("  port %s, power %s, power LED %s, attention LED %s%s\n", json_str(slot, "port") ?: "none",
               json_str(slot, "power") ?: "unknown", json_str(slot, "power_led") ?: "none",
               json_str(slot, "attention_led") ?: "none", json_flag(slot, "held") ? ", held" : "");
        for (size_t i = 0; i < json_len(memdevs); i++) {
                json_object *m = json_at(memdevs, i);
                printf("  %s: %s volatile, %s persistent, driver %s\n", json_str(m, "name") ?: "?",
                       json_get(m, "ram_bytes") ? FORMAT_SIZE(json_u64(m, "ram_bytes")) : "not known",
                       json_get(m, "pmem_bytes") ? FORMAT_SIZE(json_u64(m, "pmem_bytes")) : "not known", json_str(m, "driver") ?: "none");
        }
}

/* All members of the interleave set in their order: a removal takes the region from all of them. */
static void cell_targets(Table *t, json_object *targets) {
        _cleanup_free_ char *text = strdup("");

        for (size_t i = 0; i < json_len(targets); i++) {
                json_object *m = json_at(targets, i);
                const char *slot = json_str(m, "slot");
                (void) text_add(&text, ", ", "%s%s%s%s", json_str(m, "memdev") ?: "missing", slot ? " (slot " : "", slot ?: "", slot ? ")" : "");
        }
        table_cell(t, json_len(targets) > 1 ? COLOR_WARN : COLOR_NONE, text);
}

static void row_region(Table *t, json_object *r) {
        cell_str(t, r, "name");
        cell_size(t, r, "size");
        cell_str(t, r, "mode");
        cell_str(t, r, "start");
        table_cell(t, COLOR_NONE, json_flag(r, "committed") ? "committed" : "not committed");
        cell_targets(t, json_array(r, "targets"));
}

static void row_dax(Table *t, json_object *d) {
        cell_str(t, d, "name");
        cell_size(t, d, "size");
        cell_str(t, d, "region");
        cell_str(t, d, "driver");
        cell_u64(t, d, "target_node");
}

static void row_node(Table *t, json_object *n) {
        cell_u64(t, n, "id");
        cell_size(t, n, "total_bytes");
        cell_size(t, n, "free_bytes");
        cell_size(t, n, "reclaimable_bytes");
        table_cell(t, COLOR_NONE, json_flag(n, "has_cpus") ? "yes" : "no");
}

static void row_blocks(Table *t, json_object *b) {
        uint64_t first = json_u64(b, "first"), last = json_u64(b, "last");

        if (first == last)
                table_cellf(t, COLOR_NONE, "memory%" PRIu64, first);
        else
                table_cellf(t, COLOR_NONE, "memory%" PRIu64 " to %" PRIu64, first, last);
        cell_size(t, b, "size");
        cell_str(t, b, "state");
        cell_str(t, b, "zone");
        cell_u64(t, b, "node");
}

static void row_foreign(Table *t, json_object *f) {
        cell_str(t, f, "name");
        cell_str(t, f, "subsystem");
        cell_str(t, f, "bdf");
}

static bool same_kind(json_object *a, json_object *b) {
        return streq_ptr(json_str(a, "state"), json_str(b, "state")) && streq_ptr(json_str(a, "zone"), json_str(b, "zone")) &&
               json_u64(a, "node") == json_u64(b, "node");
}

/* A card has hundreds of blocks; neighbours that agree are one row. */
static json_object *merge_blocks(json_object *blocks, uint64_t block_size) {
        json_object *rows = json_object_new_array(), *row = NULL;

        for (size_t i = 0; i < json_len(blocks); i++) {
                json_object *b = json_at(blocks, i);

                if (!row || !same_kind(row, b) || json_u64(row, "last") + 1 != json_u64(b, "id")) {
                        static const char *const keys[] = { "state", "zone", "node" };
                        row = json_object_new_object();
                        json_set_u64(row, "first", json_u64(b, "id"));
                        for (size_t k = 0; k < ELEMENTSOF(keys); k++)
                                json_set(row, keys[k], json_ref(json_get(b, keys[k])));
                        json_object_array_add(rows, row);
                }
                json_set_u64(row, "last", json_u64(b, "id"));
                json_set_u64(row, "size", json_u64(row, "size") + block_size);
        }
        return rows;
}

/* As the plan has it, which knows what stands on what. */
static void print_stored(json_object *stored) {
        size_t n = 0;

        json_object_object_foreach(stored, key, items) {
                (void) key;
                n += json_len(items);
        }
        if (n == 0)
                return;
        if (output.legend) {
                putchar('\n');
                print_colored(COLOR_BOLD, "Stored on it\n");
        }
        storage_print(stored);
}

void card_view_print(json_object *view) {
        static const char *const regions[] = { "NAME", "SIZE", "MODE", "START", "DECODERS", "CARDS" };
        static const char *const dax[] = { "NAME", "SIZE", "REGION", "DRIVER", "NODE" };
        static const char *const nodes[] = { "NODE", "TOTAL", "FREE", "RECLAIMABLE", "CPUS" };
        static const char *const blocks[] = { "BLOCKS", "SIZE", "STATE", "ZONE", "NODE" };
        static const char *const foreign[] = { "NAME", "SUBSYSTEM", "FUNCTION" };
        _cleanup_json_ json_object *merged = merge_blocks(json_array(view, "blocks"), json_u64(view, "block_size"));

        print_slot(view);
        print_section("Regions", json_array(view, "regions"), regions, ELEMENTSOF(regions), row_region);
        print_section("Dax devices", json_array(view, "dax"), dax, ELEMENTSOF(dax), row_dax);
        print_section("NUMA nodes", json_array(view, "nodes"), nodes, ELEMENTSOF(nodes), row_node);
        print_section("Memory blocks", merged, blocks, ELEMENTSOF(blocks), row_blocks);
        print_section("Other devices", json_array(view, "foreign"), foreign, ELEMENTSOF(foreign), row_foreign);
        print_stored(json_get(view, "stored"));
        card_state_print(json_get(view, "card_state"), "Card state");
}

/* Addresses are written as text; one that cannot be read belongs to nothing. */
static uint64_t address(json_object *o, const char *key) {
        uint64_t v;

        return parse_u64(json_str(o, key) ?: "", &v) < 0 ? 0 : v;
}

static bool in_slot(json_object *o, json_object *view) {
        return streq_ptr(json_str(o, "slot"), json_str(json_get(view, "slot"), "name"));
}

/* Also when the memory device itself is gone already: a target knows its slot. */
static bool region_is_on(json_object *region, json_object *view) {
        json_object *targets = json_array(region, "targets");

        for (size_t i = 0; i < json_len(targets); i++)
                if (in_slot(json_at(targets, i), view) ||
                    json_find(json_array(view, "memdevs"), "name", json_str(json_at(targets, i), "memdev")))
                        return true;
        return false;
}

static bool dax_is_on(json_object *dax, json_object *view) {
        return json_find(json_array(view, "regions"), "name", json_str(dax, "region"));
}

/* By address and not by node: a node may have memory of other cards, and of the board. */
static bool block_is_on(json_object *block, json_object *view) {
        json_object *regions = json_array(view, "regions");
        uint64_t start = address(block, "start"), end = start + json_u64(view, "block_size");

        for (size_t i = 0; i < json_len(regions); i++) {
                uint64_t from = address(json_at(regions, i), "start"), size = json_u64(json_at(regions, i), "size");
                if (start < from + size && from < end)
                        return true;
        }
        return false;
}

static bool node_has(json_object *array, const char *key, uint64_t id) {
        for (size_t i = 0; i < json_len(array); i++)
                if (json_has(json_at(array, i), key) && json_u64(json_at(array, i), key) == id)
                        return true;
        return false;
}

static bool node_is_on(json_object *node, json_object *view) {
        uint64_t id = json_u64(node, "id");

        return node_has(json_array(view, "dax"), "target_node", id) || node_has(json_array(view, "blocks"), "node", id);
}

json_object *card_view(json_object *topology, const char *slot) {
        /* In this order: each looks at what those above have found. */
        static const struct {
                const char *key;
                bool (*belongs)(json_object *o, json_object *view);
        } parts[] = {
                { "functions", in_slot }, { "memdevs", in_slot },  { "foreign", in_slot },   { "regions", region_is_on },
                { "dax", dax_is_on },     { "blocks", block_is_on }, { "nodes", node_is_on },
        };
        json_object *found = json_find(json_array(topology, "slots"), "name", slot);
        if (!found)
                return NULL;

        json_object *view = json_object_new_object();
        json_set_str(view, "schema", "safe-remove/show/1");
        json_set(view, "slot", json_ref(found));
        json_set_u64(view, "block_size", json_u64(topology, "block_size"));
        for (size_t i = 0; i < ELEMENTSOF(parts); i++) {
                json_object *all = json_array(topology, parts[i].key), *mine = json_object_new_array();

                json_set(view, parts[i].key, mine);
                for (size_t k = 0; k < json_len(all); k++)
                        if (parts[i].belongs(json_at(all, k), view))
                                json_object_array_add(mine, json_ref(json_at(all, k)));
        }
        return view;
}

enum {
        COLUMNS = 64,   /* of the values, behind their heading */
};

typedef enum Unit {
        UNIT_NONE,
        UNIT_PERCENT,
        UNIT_CELSIUS,
        UNIT_BYTES,
        UNIT_FLAG,              /* the words alone, where it is so */
} Unit;

typedef struct Line {
        const char *key, *words, *status;       /* the status: another key, in brackets */
        Unit unit;
} Line;

/* "media normal, life used 3 % (normal), ..." */
static char *value_text(json_object *o, const Line *l) {
        json_object *v = json_get(o, l->key), *status = l->status ? json_get(o, l->status) : NULL;
        static const char *const units[] = { [UNIT_PERCENT] = " %", [UNIT_CELSIUS] = " C" };
        const char *unit = l->unit < ELEMENTSOF(units) && units[l->unit] ? units[l->unit] : "";

        if (!v && !status)
                return NULL;
        if (l->unit == UNIT_FLAG)
                return json_flag(o, l->key) ? strdup(l->words) : NULL;
        const char *text = !v ? "not known" : l->unit == UNIT_BYTES ? FORMAT_SIZE(json_u64(o, l->key)) : json_object_get_string(v);
        return strf("%s %s%s%s%s%s", l->words, text, v ? unit : "", status ? " (" : "", status ? json_object_get_string(status) : "", status ? ")" : "");
}

/* A line without a value is not printed; a part that nobody knows is. */
static void print_part(json_object *o, const char *heading, const Line *lines, size_t n) {
        size_t column = 0;

        printf("    %-10s  ", heading);
        for (size_t i = 0; i < n; i++) {
                _cleanup_free_ char *text = value_text(o, &lines[i]);
                size_t width = text ? format_width(text) : 0;
                if (!text)
                        continue;
                bool wraps = column > 0 && column + width > COLUMNS;
                printf("%s%s", column == 0 ? "" : wraps ? ",\n                " : ", ", text);
                column = wraps ? width : column + width + strlen(", ");
        }
        puts(column == 0 ? "not known" : "");
}

static void print_health(json_object *health) {
        static const Line lines[] = {
                { "media", "media" },
                { "life_used_percent", "life used", "life_used_status", UNIT_PERCENT },
                { "temperature_celsius", "temperature", "temperature_status", UNIT_CELSIUS },
                { "corrected_volatile_errors", "corrected errors of volatile memory", "corrected_volatile_status" },
                { "corrected_persistent_errors", "of persistent memory", "corrected_persistent_status" },
                { "dirty_shutdowns", "dirty shutdowns" },
                { "maintenance_needed", "needs maintenance", NULL, UNIT_FLAG },
                { "performance_degraded", "performance is degraded", NULL, UNIT_FLAG },
                { "replacement_needed", "has to be replaced", NULL, UNIT_FLAG },
        };

        print_part(health, "health", lines, ELEMENTSOF(lines));
}

static void print_alerts(json_object *alerts) {
        static const Line lines[] = {
                { "life_used_warning_percent", "warning at life used", NULL, UNIT_PERCENT },
                { "life_used_critical_percent", "critical at life used", NULL, UNIT_PERCENT },
                { "over_temperature_warning_celsius", "warning above", NULL, UNIT_CELSIUS },
                { "over_temperature_critical_celsius", "critical above", NULL, UNIT_CELSIUS },
                { "under_temperature_warning_celsius", "warning below", NULL, UNIT_CELSIUS },
                { "under_temperature_critical_celsius", "critical below", NULL, UNIT_CELSIUS },
                { "corrected_volatile_warning", "warning at corrected errors of volatile memory" },
                { "corrected_persistent_warning", "of persistent memory" },
        };

        print_part(alerts, "alerts", lines, ELEMENTSOF(lines));
}

static void print_memdev(json_object *m) {
        static const Line itself[] = {
                { "security", "security" }, { "transfer", "transfer of firmware" },
        };
        static const Line identity[] = {
                { "firmware_version", "firmware" }, { "total_bytes", "in all", NULL, UNIT_BYTES }, { "volatile_bytes", "volatile", NULL, UNIT_BYTES },
                { "persistent_bytes", "persistent", NULL, UNIT_BYTES }, { "label_bytes", "labels", NULL, UNIT_BYTES },
        };
        static const Line partition[] = {
                { "volatile_bytes", "volatile", NULL, UNIT_BYTES }, { "persistent_bytes", "persistent", NULL, UNIT_BYTES },
                { "next_volatile_bytes", "after a reset volatile", NULL, UNIT_BYTES }, { "next_persistent_bytes", "persistent", NULL, UNIT_BYTES },
        };
        static const Line firmware[] = {
                { "slots", "slots" }, { "active_slot", "active" }, { "staged_slot", "staged" }, { "slot_1_version", "1:" },
                { "slot_2_version", "2:" }, { "slot_3_version", "3:" }, { "slot_4_version", "4:" },
                { "activates_online", "can be activated online", NULL, UNIT_FLAG },
        };

        /* Both are 0 where no other partition is pending. */
        json_object *part = json_get(m, "partition"), *next = json_get(part, "next_volatile_bytes"), *other = json_get(part, "next_persistent_bytes");
        bool changes = !next || !other || json_u64(part, "next_volatile_bytes") > 0 || json_u64(part, "next_persistent_bytes") > 0;

        printf("  %s, serial %s\n", json_str(m, "name") ?: "?", json_str(m, "serial") ?: "unknown");
        print_part(m, "state", itself, ELEMENTSOF(itself));
        print_part(json_get(m, "identity"), "identity", identity, ELEMENTSOF(identity));
        print_health(json_get(m, "health"));
        print_alerts(json_get(m, "alerts"));
        print_part(json_get(m, "partition"), "partition", partition, changes ? ELEMENTSOF(partition) : 2);
        print_part(json_get(m, "firmware"), "firmware", firmware, ELEMENTSOF(firmware));
}

static void print_nmem(json_object *m) {
        static const Line lines[] = {
                { "security", "security" }, { "activation", "activation of firmware" }, { "health", "health" },
                { "life_used_percent", "life used", NULL, UNIT_PERCENT }, { "spares_percent", "spares", NULL, UNIT_PERCENT },
                { "temperature_celsius", "temperature", NULL, UNIT_CELSIUS }, { "dirty_shutdowns", "dirty shutdowns" },
                { "trouble", "trouble:" }, { "alarms", "alarms:" },
        };
        static const Line alerts[] = {
                { "switched_on", "switched on:" }, { "spares_warning_percent", "spares", NULL, UNIT_PERCENT },
                { "over_temperature_warning_celsius", "temperature", NULL, UNIT_CELSIUS },
                { "over_controller_temperature_warning_celsius", "controller's temperature", NULL, UNIT_CELSIUS },
        };

        printf("  %s, id %s\n", json_str(m, "name") ?: "?", json_str(m, "id") ?: "unknown");
        print_part(m, "state", lines, ELEMENTSOF(lines));
        if (json_get(m, "alerts"))
                print_part(json_get(m, "alerts"), "alerts", alerts, ELEMENTSOF(alerts));
}

void card_state_print(json_object *state, const char *heading) {
        json_object *memdevs = json_array(state, "memdevs"), *nmems = json_array(state, "nmems"), *bad = json_array(state, "bad_blocks"),
                    *scrubs = json_array(state, "scrubs"), *notes = json_array(state, "notes");

        if (!state)
                return;
        if (output.legend) {
                putchar('\n');
                print_colored(COLOR_BOLD, "%s\n", heading);
        }
        for (size_t i = 0; i < json_len(memdevs); i++)
                print_memdev(json_at(memdevs, i));
        for (size_t i = 0; i < json_len(nmems); i++)
                print_nmem(json_at(nmems, i));
        for (size_t i = 0; i < json_len(bad); i++) {
                json_object *blocks = json_get(json_at(bad, i), "blocks");
                printf("  bad blocks of %s: %s\n", json_str(json_at(bad, i), "region") ?: "?", blocks ? json_object_get_string(blocks) : "not known");
        }
        for (size_t i = 0; i < json_len(scrubs); i++)
                printf("  scrubbing of %s: %s\n", json_str(json_at(scrubs, i), "bus") ?: "?", json_str(json_at(scrubs, i), "state") ?: "not known");
        for (size_t i = 0; i < json_len(notes); i++)
                printf("  note: %s\n", json_object_get_string(json_at(notes, i)));
}
