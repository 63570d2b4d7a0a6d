/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <inttypes.h>

#include "base/clock.h"
#include "base/fileio.h"
#include "base/format.h"
#include "daemon/source/source.h"
#include "engine/engine.h"
#include "engine/state-dir.h"
#include "step/step.h"
#include "history.h"

enum {
        ENTRIES_MAX = 1000,
        DISTURBED_MAX = 8,      /* of an entry in a list: how many there were was their users' choice, and its certificate names them */
};

static void copy_keys(json_object *to, json_object *from, const char *const *keys) {
        for (; *keys; keys++)
                json_set(to, *keys, json_ref(json_get(from, *keys)));
}

/* By the clock of one boot: nobody sets that. How long it took across a boot nobody knows. (Of a record without the end's boot only the outcome tells.) */
static void take_duration(json_object *entry, json_object *end) {
        const char *boot = json_str(end, "boot");
        bool same = boot ? streq_ptr(boot, json_str(entry, "boot")) : !streq_ptr(json_str(end, "outcome"), outcome_to_string(OUTCOME_INTERRUPTED));
        uint64_t began = json_u64(entry, "monotonic_usec"), ended = json_u64(end, "monotonic_usec");

        if (boot && !same)
                json_set_str(entry, "ended_boot", boot);
        if (same && began > 0 && ended >= began)
                json_set_u64(entry, "took_usec", ended - began);
}

static void take_record(json_object *record, void *userdata) {
        static const char *const start_keys[] = { "slot", "trigger", "by", "target", "options", "card", "boot", NULL };
        static const char *const restore_keys[] = { "kind", "of", NULL }, *const several_keys[] = { "slots", "targets", NULL };
        static const char *const end_keys[] = { "outcome", "code", "message", "remedy", "lost", "disturbed", NULL };
        json_object *entry = userdata;
        const char *ev = json_str(record, "ev");

        if (streq_ptr(ev, "start")) {
                copy_keys(entry, record, start_keys);
                if (json_str(record, "kind"))
                        copy_keys(entry, record, restore_keys);
                if (json_array(record, "slots"))
                        copy_keys(entry, record, several_keys);
                json_set(entry, "started_usec", json_ref(json_get(record, "usec")));
                json_set(entry, "monotonic_usec", json_ref(json_get(record, "monotonic_usec")));
                if (format_check(record, FORMAT_JOURNAL) == -EPROTONOSUPPORT)
                        json_set_bool(entry, "newer", true);
        } else if (streq_ptr(ev, "done"))
                json_set_u64(entry, "steps_done", json_u64(entry, "steps_done") + 1);
        else if (streq_ptr(ev, "undone"))
                json_set_u64(entry, "steps_undone", json_u64(entry, "steps_undone") + 1);
        else if (streq_ptr(ev, "end")) {
                copy_keys(entry, record, end_keys);
                json_set(entry, "ended_usec", json_ref(json_get(record, "usec")));
                take_duration(entry, record);
                json_set_bool(entry, "ended", true);
        }
}

int history_records(uint64_t number, record_take_t take, void *userdata) {
        _cleanup_free_ char *path = strf("%s/removals/%" PRIu64 "/journal", state_dir(), number);

        return path ? record_each(path, take, userdata) : -ENOMEM;
}

int history_plan(uint64_t number, json_object **ret) {
        _cleanup_free_ char *path = strf("%s/removals/%" PRIu64 "/plan.json", state_dir(), number), *text = NULL;
        size_t length;

        int r = path ? record_file_read(path, &text, &length) : -ENOMEM;
        return r < 0 ? r : json_parse(text, length, ret);
}

int history_entry(uint64_t number, json_object **ret) {
        _cleanup_json_ json_object *entry = json_object_new_object();

        json_set_strf(entry, "id", "%" PRIu64, number);
        json_set_str(entry, "kind", "remove");
        json_set_bool(entry, "ended", false);
        json_set_u64(entry, "steps_done", 0);
        json_set_u64(entry, "steps_undone", 0);

        int r = history_records(number, take_record, entry);
        if (r < 0)
                return r;
        if (!json_has(entry, "started_usec"))
                return -ENODATA;
        /* How each begins and ends is the same in all forms (docs/PROTOCOL.md); what was done in between is for who wrote it. */
        bool newer = json_flag(entry, "newer");
        json_object_object_del(entry, "newer");
        if (newer && !json_flag(entry, "ended"))
                return -EPROTONOSUPPORT;

        *ret = TAKE_PTR(entry);
        return 0;
}

static void shorten_disturbed(json_object *entry) {
        json_object *all = json_array(entry, "disturbed");
        size_t n = json_len(all);

        if (n <= DISTURBED_MAX)
                return;
        json_object_array_del_idx(all, DISTURBED_MAX, n - DISTURBED_MAX);
        json_append_strf(all, "and %zu more (safe-remove certificate %s)", n - DISTURBED_MAX, json_str(entry, "id"));
}

int history_load_before(uint64_t before, uint32_t limit, json_object **ret) {
        _cleanup_json_ json_object *history = json_object_new_object();
        _cleanup_free_ uint64_t *ids = NULL;
        json_object *entries = json_object_new_array();
        size_t max = limit > 0 && limit < ENTRIES_MAX ? limit : ENTRIES_MAX, n = 0;

        json_set_str(history, "schema", "safe-remove/history/1");
        json_set(history, "removals", entries);

        int r = removal_ids(&ids, &n);
        if (r < 0)
                return r;
        for (size_t i = n; i-- > 0 && json_len(entries) < max;) {
                json_object *entry;

                if (ids[i] >= before)
                        continue;
                r = history_entry(ids[i], &entry);
                if (r == -ENOMEM)
                        return r;
                if (r < 0)
                        continue;
                shorten_disturbed(entry);
                json_object_array_add(entries, entry);
        }

        *ret = TAKE_PTR(history);
        return 0;
}

int history_load(uint32_t limit, json_object **ret) {
        return history_load_before(UINT64_MAX, limit, ret);
}

/* Which ports it holds is only in its plan. */
void history_add_port(json_object *entry, uint64_t number) {
        _cleanup_json_ json_object *plan = NULL;

        if (history_plan(number, &plan) < 0)
                return;
        json_set_str(entry, "port", json_str(json_get(plan, "slot"), "port"));
        if (json_array(plan, "slots"))
                json_set(entry, "plan_slots", json_ref(json_get(plan, "slots")));
}

static void reverse(json_object *array) {
        for (size_t i = 0, k = json_len(array); i + 1 < k; i++) {
                json_object *first = json_ref(json_at(array, i)), *last = json_ref(json_at(array, --k));
                json_object_array_put_idx(array, i, last);
                json_object_array_put_idx(array, k, first);
        }
}

/* How it ended in words: for the daemon, which is after the outcomes, and whose line of them all has an end. How long the story is was the choice of the
 * processes' users. */
static void forget_story(json_object *entry) {
        static const char *const keys[] = { "message", "remedy", "lost", "disturbed" };

        for (size_t i = 0; i < ELEMENTSOF(keys); i++)
                json_object_object_del(entry, keys[i]);
}

int history_survey(size_t recent, uint64_t *ret_highest, json_object **ret_unfinished, json_object **ret_unreadable, json_object **ret_recent) {
        _cleanup_json_ json_object *unfinished = json_object_new_array(), *unreadable = json_object_new_array(), *newest = json_object_new_array();
        _cleanup_free_ uint64_t *ids = NULL;
        size_t n = 0;

        uint64_t highest = 0;

        int r = removal_ids(&ids, &n);
        if (r >= 0)
                r = removal_number_highest(&highest);
        if (r < 0)
                return r;
        for (size_t i = n; i-- > 0;) {
                _cleanup_json_ json_object *entry = NULL;

                r = history_entry(ids[i], &entry);
                if (r == -ENOMEM)
                        return r;
                if (r >= 0 && json_len(newest) < recent) {
                        forget_story(entry);
                        json_object_array_add(newest, json_ref(entry));
                }
                if (r == -ENOENT || r == -ENOTDIR || r == -ENODATA || json_flag(entry, "ended"))
                        continue;
                bool read = r >= 0;
                if (!read) {
                        entry = json_object_new_object();
                        json_set_strf(entry, "id", "%" PRIu64, ids[i]);
                        json_set_str(entry, "why", format_strerror(r));
                        json_set_bool(entry, "newer", r == -EPROTONOSUPPORT);
                }
                history_add_port(entry, ids[i]);
                json_object_array_add(read ? unfinished : unreadable, json_ref(entry));
        }
        reverse(unfinished);
        reverse(unreadable);

        *ret_highest = highest;
        *ret_unfinished = TAKE_PTR(unfinished);
        *ret_unreadable = TAKE_PTR(unreadable);
        *ret_recent = TAKE_PTR(newest);
        return 0;
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

static void add_record(json_object *record, void *records) {
        json_object_array_add(records, json_ref(record));
}

json_object *history_holds(uint64_t number, bool *ret_finishing) {
        _cleanup_json_ json_object *plan = NULL, *records = json_object_new_array();
        json_object *holds = json_object_new_object();

        (void) history_plan(number, &plan);
        (void) history_records(number, add_record, records);
        json_object *steps = json_array(plan, "steps");
        bool restore = streq_ptr(json_str(plan, "kind"), "restore"), finishing = false, back = false, other_boot = false;
        char boot[33];

        int r = boot_id_read(boot);
        for (size_t i = 0; i < json_len(records); i++) {
                const char *ev = json_str(json_at(records, i), "ev");
                back = back || streq_ptr(ev, "back");
                other_boot = other_boot || (r >= 0 && streq_ptr(ev, "start") && !streq_ptr(json_str(json_at(records, i), "boot"), boot));
        }
        for (size_t i = 0; i < json_len(steps); i++) {
                json_object *step = json_at(steps, i);
                const char *name = json_str(step, "name"), *port = json_str(json_get(step, "args"), "port");
                bool let_go = streq_ptr(name, step_type_to_string(STEP_RELEASE));
                int type = step_type_from_string(name ?: "");

                if (type >= 0 && step_ops((StepType) type)->irreversible && is_begun(records, i))
                        finishing = type != STEP_POWER_ON; /* a self-test's, whose cards stay */
                if (!port || (!let_go && !streq_ptr(name, step_type_to_string(STEP_HOLD))))
                        continue;
                /* In a restoration a release is what takes the slot; on a way back, and after a reboot, the card is used again, and a press is to be answered. */
                bool yields = let_go && !restore && !back && !other_boot && is_begun(records, i);
                json_set_str(holds, port, port_want_to_string(yields ? PORT_WANT_YIELD : PORT_WANT_CLAIM));
        }
        *ret_finishing = finishing && !back; /* else the last question before the power was answered with no, and the card stays */
        return holds;
}
