/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a card says of itself, for a person. Nothing is made up for what is not known: it is left out, or said so. */
#include <inttypes.h>

#include "card-view.h"
#include "format.h"
#include "output.h"

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

        printf("  %s, serial %s\n", json_str(m, "name") ?: "?", json_str(m, "serial") ?: "unknown");
        print_part(m, "state", itself, ELEMENTSOF(itself));
        print_part(json_get(m, "identity"), "identity", identity, ELEMENTSOF(identity));
        print_health(json_get(m, "health"));
        print_alerts(json_get(m, "alerts"));
        print_part(json_get(m, "partition"), "partition", partition, ELEMENTSOF(partition));
        print_part(json_get(m, "firmware"), "firmware", firmware, ELEMENTSOF(firmware));
}

static void print_nmem(json_object *m) {
        static const Line lines[] = {
                { "security", "security" }, { "activation", "activation of firmware" }, { "health", "health" },
                { "life_used_percent", "life used", NULL, UNIT_PERCENT }, { "spares_percent", "spares", NULL, UNIT_PERCENT },
                { "temperature_celsius", "temperature", NULL, UNIT_CELSIUS }, { "dirty_shutdowns", "dirty shutdowns" },
                { "trouble", "trouble:" },
        };

        printf("  %s, id %s\n", json_str(m, "name") ?: "?", json_str(m, "id") ?: "unknown");
        print_part(m, "state", lines, ELEMENTSOF(lines));
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
        for (size_t i = 0; i < json_len(bad); i++)
                printf("  bad blocks of %s: %" PRIu64 "\n", json_str(json_at(bad, i), "region") ?: "?", json_u64(json_at(bad, i), "blocks"));
        for (size_t i = 0; i < json_len(scrubs); i++)
                printf("  scrubbing of %s: %s\n", json_str(json_at(scrubs, i), "bus") ?: "?", json_str(json_at(scrubs, i), "state") ?: "not known");
        for (size_t i = 0; i < json_len(notes); i++)
                printf("  note: %s\n", json_object_get_string(json_at(notes, i)));
}
