/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/bus/history.h"
#include "daemon/source/source.h"
#include "step/step.h"
#include "record-holds.h"

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

/* The last question before the power was answered with no, and the card stays. */
static bool is_turned_back(json_object *records) {
        for (size_t i = 0; i < json_len(records); i++)
                if (streq_ptr(json_str(json_at(records, i), "ev"), "back"))
                        return true;
        return false;
}

/* Of a step that the record has. */
static bool is_irreversible(json_object *step) {
        int type = step_type_from_string(json_str(step, "name") ?: "");

        return type >= 0 && step_ops((StepType) type)->irreversible;
}

static void add(json_object *record, void *records) {
        json_object_array_add(records, json_ref(record));
}

json_object *record_holds(uint64_t number, bool *ret_finishing) {
        _cleanup_json_ json_object *plan = NULL, *records = json_object_new_array();
        json_object *holds = json_object_new_object();

        (void) history_plan(number, &plan);
        (void) history_records(number, add, records);
        json_object *steps = json_array(plan, "steps");
        bool restore = streq_ptr(json_str(plan, "kind"), "restore"), finishing = false;

        for (size_t i = 0; i < json_len(steps); i++) {
                json_object *step = json_at(steps, i);
                const char *name = json_str(step, "name"), *port = json_str(json_get(step, "args"), "port");
                bool let_go = streq_ptr(name, step_type_to_string(STEP_RELEASE));

                finishing = finishing || (is_irreversible(step) && is_begun(records, i));
                if (!port || (!let_go && !streq_ptr(name, step_type_to_string(STEP_HOLD))))
                        continue;
                /* In a restoration a release is what takes the slot. */
                bool yields = let_go && !restore && is_begun(records, i);
                json_set_str(holds, port, port_want_to_string(yields ? PORT_WANT_YIELD : PORT_WANT_CLAIM));
        }
        *ret_finishing = finishing && !is_turned_back(records);
        return holds;
}
