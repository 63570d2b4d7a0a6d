/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <poll.h>

#include "base/clock.h"
#include "cli/bus.h"
#include "cli/client.h"
#include "cli/text/names-text.h"
#include "cli/text/output.h"
#include "cli/view/slots-view.h"
#include "verbs.h"

enum {
        RECORDS_POLL_MSEC = 100,
};

#define RECORDS_USEC (5 * USEC_PER_SEC)

static void print_slots_json(json_object *slots) {
        _cleanup_json_ json_object *o = json_object_new_object();

        json_set_str(o, "schema", "safe-remove/list/1");
        json_set(o, "slots", json_ref(slots));
        print_json(o);
}

/* A card that is gone and has left something behind: its slot looks empty. */
static void print_left(json_object *topology) {
        json_object *slots = json_array(topology, "slots");

        for (size_t i = 0; i < json_len(slots); i++) {
                json_object *slot = json_at(slots, i);
                const char *incident = json_str(slot, "incident");

                if (json_str(slot, "left"))
                        printf("slot %s: the card was pulled or lost its power, and not all of it is gone: %s%s%s\n", json_str(slot, "name"),
                               json_str(slot, "left"), incident ? "; see: safe-remove incident " : "", incident ?: "");
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

        output.as_it_is = true;
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

        slots_add_memory(slots, topology);
        if (output.json != JSON_OFF)
                print_slots_json(slots);
        else if (json_len(slots) > 0)
                slots_print(slots);
        else if (output.legend)
                puts("no hot-plug slots");
        if (output.json == JSON_OFF) {
                output_remarks_begin();
                print_left(topology);
                slots_print_located(slots, NULL);
                slots_print_stays(slots, NULL);
                slots_print_vanished(topology);
                output_remarks_end();
        }
        return looked != CODE_DONE ? looked : tell_unknown(slots, read);
}
