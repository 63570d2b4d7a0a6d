/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>
#include <poll.h>

#include "base/clock.h"
#include "cli/bus.h"
#include "cli/client.h"
#include "cli/text/format.h"
#include "cli/text/names-text.h"
#include "cli/text/output.h"
#include "verbs.h"

enum {
        RECORDS_POLL_MSEC = 100,
        WIDE = 120,             /* columns, from which on all of a list fits */
};

#define RECORDS_USEC (5 * USEC_PER_SEC)

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

/* The slot's card in numbers; sizes are not on the slot object, which knows nothing but hardware. */
static void add_memory(json_object *slots, json_object *topology) {
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

static void print_slots(json_object *slots) {
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
static void print_slots_narrow(json_object *slots) {
        static const char *const headers[] = { "SLOT", "STATE", "CARD", "MEMDEV", "SERIAL", "MEMORY", "PWR/ATT" };
        _cleanup_table_ Table *t = table_new(headers, ELEMENTSOF(headers));

        if (!t)
                return;
        table_spare(t, 3);
        for (size_t i = 0; i < json_len(slots); i++) {
                json_object *s = json_at(slots, i);

                slot_cells(t, s);
                table_cellf(t, COLOR_NONE, "%s/%s", json_str(s, "power_led") ?: "-", json_str(s, "attention_led") ?: "-");
        }
        table_print(t, "");
}

static void print_slots_json(json_object *slots) {
        _cleanup_json_ json_object *o = json_object_new_object();

        json_set_str(o, "schema", "safe-remove/list/1");
        json_set(o, "slots", json_ref(slots));
        print_json(o);
}

/* A card that is gone and has left something behind: its slot looks empty. */
static void print_left(json_object *topology) {
        json_object *slots = json_array(topology, "slots");

        for (size_t i = 0; i < json_len(slots); i++)
                if (json_str(json_at(slots, i), "left"))
                        printf("slot %s: the card was pulled or lost its power, and not all of it is gone: %s\n", json_str(json_at(slots, i), "name"),
                               json_str(json_at(slots, i), "left"));
}

void print_stays(json_object *slots, const char *only) {
        for (size_t i = 0; i < json_len(slots); i++) {
                const char *stays = json_str(json_at(slots, i), "memory_stays"), *name = json_str(json_at(slots, i), "name") ?: "?";

                if (!stays || !*stays || (only && !streq(only, name)))
                        continue;
                print_colored(COLOR_WARN, "slot %s: the card's memory will not leave again", name);
                printf(": %s (safe-remove explain %s)\n", stays, name);
        }
}

/* A disk that is gone and of no slot, or of one that has another card by now. */
static void print_vanished(json_object *topology) {
        json_object *disks = json_array(topology, "vanished");

        for (size_t i = 0; i < json_len(disks); i++) {
                const char *slot = json_str(json_at(disks, i), "slot");
                json_object *lost = json_array(json_at(disks, i), "lost");

                printf("%s%s%s: the disk %s is gone, and still in use: %s\n", slot ? "slot " : "no slot is known", slot ?: "",
                       slot ? ", which has another card now" : "", json_str(json_at(disks, i), "device") ?: "?", json_object_get_string(json_at(lost, 0)) ?: "?");
        }
}

static bool records_are_read(sd_bus *bus) {
        _cleanup_error_ sd_bus_error e = SD_BUS_ERROR_NULL;
        _cleanup_json_ json_object *o = NULL;

        /* A daemon of an earlier version does not say. */
        return client_properties(bus, BUS_PATH, BUS_MANAGER, &o, &e) < 0 || !json_has(o, "records_read") || json_flag(o, "records_read");
}

/* The daemon has just started: until it has read its records, it shows no slot as anything but unknown. That changes without a signal. */
static bool wait_for_records(sd_bus *bus) {
        uint64_t until = now_monotonic() + RECORDS_USEC;
        bool read;

        while (!(read = records_are_read(bus)) && now_monotonic() < until)
                (void) poll(NULL, 0, RECORDS_POLL_MSEC);
        return read;
}

/* Whether a removal of it has ended nobody knows: that is not "all is well". */
static ExitCode tell_unknown(json_object *slots, bool read) {
        for (size_t i = 0; i < json_len(slots); i++) {
                if (!streq_ptr(json_str(json_at(slots, i), "state"), "unknown"))
                        continue;
                if (output.json != JSON_OFF)
                        return CODE_FAILED; /* the document says it */
                if (!read)
                        return fail(CODE_FAILED, NULL, "slot %s is unknown: the daemon has not read the records of removals yet; 'journalctl -b -u "
                                    "safe-removed' says whether it can", json_str(json_at(slots, i), "name") ?: "?");
                return fail(CODE_FAILED, NULL, "slot %s is unknown: the record of a removal cannot be read; 'journalctl -b -u safe-removed' says which",
                            json_str(json_at(slots, i), "name") ?: "?");
        }
        return CODE_DONE;
}

static ExitCode list_names(sd_bus *bus) {
        _cleanup_json_ json_object *topology = NULL;

        ExitCode code = client_topology(bus, &topology);
        if (code == CODE_DONE)
                names_print(topology);
        return code;
}

ExitCode verb_list(const Args *a) {
        _cleanup_json_ json_object *slots = NULL, *removals = NULL, *topology = NULL;
        _cleanup_bus_ sd_bus *bus = NULL;

        /* The look first: a daemon that was started by this very call knows its slots only after it. */
        ExitCode code = client_connect(&bus);
        if (code != CODE_DONE)
                return code;
        if (a->names)
                return list_names(bus);
        ExitCode looked = client_topology(bus, &topology);
        /* A failed look is a failure. What was seen before is shown all the same, and says that it is old. */
        if (looked != CODE_DONE && (looked != CODE_FAILED || output.json != JSON_OFF))
                return looked;
        bool read = wait_for_records(bus);
        code = client_objects(bus, &slots, &removals);
        if (code != CODE_DONE)
                return code;

        add_memory(slots, topology);
        if (output.json != JSON_OFF)
                print_slots_json(slots);
        else if (json_len(slots) > 0 && output.columns > 0 && output.columns < WIDE)
                print_slots_narrow(slots);
        else if (json_len(slots) > 0)
                print_slots(slots);
        else if (output.legend)
                puts("no hot-plug slots");
        if (output.json == JSON_OFF) {
                print_left(topology);
                print_stays(slots, NULL);
                print_vanished(topology);
        }
        return looked != CODE_DONE ? looked : tell_unknown(slots, read);
}
