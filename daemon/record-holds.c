/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>

#include "base/fileio.h"
#include "engine/state-dir.h"
#include "record-holds.h"
#include "source.h"
#include "step/step.h"

static json_object *read_plan(uint64_t number) {
        _cleanup_free_ char *path = strf("%s/removals/%" PRIu64 "/plan.json", state_dir(), number), *text = NULL;
        json_object *plan = NULL;
        size_t length;

        if (!path || read_file(path, &text, &length) < 0 || json_parse(text, length, &plan) < 0)
                return NULL;
        return plan;
}

/* Step n was begun, and not taken back since. */
static bool is_begun(json_object *records, size_t n) {
        bool begun = false;

        for (size_t i = 0; i < json_len(records); i++) {
                json_object *record = json_at(records, i);
                const char *ev = json_str(record, "ev");
                if (json_has(record, "n") && json_u64(record, "n") == n)
                        begun = streq_ptr(ev, "do") || (begun && !streq_ptr(ev, "undo"));
        }
        return begun;
}

/* The last line may be torn. */
static json_object *read_journal(uint64_t number) {
        _cleanup_free_ char *path = strf("%s/removals/%" PRIu64 "/journal", state_dir(), number), *text = NULL;
        json_object *records = json_object_new_array();

        if (!path || read_file(path, &text, NULL) < 0)
                return records;
        for (char *line = text, *next; line && *line; line = next) {
                json_object *record = NULL;
                next = strchr(line, '\n');
                if (json_parse(line, next ? (size_t) (next - line) : strlen(line), &record) == 0)
                        json_object_array_add(records, record);
                next = next ? next + 1 : NULL;
        }
        return records;
}

json_object *record_holds(uint64_t number) {
        _cleanup_json_ json_object *plan = read_plan(number), *records = read_journal(number);
        json_object *holds = json_object_new_object(), *steps = json_array(plan, "steps");
        bool restore = streq_ptr(json_str(plan, "kind"), "restore");

        for (size_t i = 0; i < json_len(steps); i++) {
                json_object *step = json_at(steps, i);
                const char *name = json_str(step, "name"), *port = json_str(json_get(step, "args"), "port");
                bool let_go = streq_ptr(name, step_type_to_string(STEP_RELEASE));

                if (!port || (!let_go && !streq_ptr(name, step_type_to_string(STEP_HOLD))))
                        continue;
                /* In a restoration a release is what takes the slot. */
                bool yields = let_go && !restore && is_begun(records, i);
                json_set_str(holds, port, port_want_to_string(yields ? PORT_WANT_YIELD : PORT_WANT_CLAIM));
        }
        return holds;
}
