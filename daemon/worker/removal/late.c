/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A removal that got stuck since a write did not come back has ended, and the write may have an end all the same. What is to be done then follows from
 * the record and from the slot: where its power has gone the rest is to be proved and shown, else what is down still is to be put back. One that has put
 * all back may have left a write behind as well, of the slot's own: if that has taken effect since, the slot is held for nobody, or its power LED says what is not so. */
#include <errno.h>

#include "base/parse.h"
#include "base/run-dir.h"
#include "daemon/worker/history.h"
#include "daemon/worker/verbs.h"
#include "engine/engine.h"
#include "engine/records.h"
#include "engine/state-dir.h"
#include "kernel/pci/held-slot.h"
#include "kernel/pci/pcie-slot.h"
#include "kernel/sysfs/listing.h"
#include "led/led.h"

/* What came after it and did something, or is about to: that one has dealt with what was left. */
static bool has_later(uint64_t id, const char *slot) {
        _cleanup_free_ uint64_t *ids = NULL;
        size_t n = 0;

        if (removal_ids(&ids, &n) < 0)
                return true;
        for (size_t i = n; i-- > 0 && ids[i] > id;) {
                _cleanup_json_ json_object *entry = NULL;

                if (history_entry(ids[i], &entry) < 0 || !record_may_be_of(entry, slot))
                        continue;
                int outcome = outcome_from_string(json_str(entry, "outcome"));
                if (outcome != OUTCOME_REFUSED && outcome != OUTCOME_NOTHING)
                        return true;
        }
        return false;
}

static bool has_power(json_object *slot) {
        const char *port = json_str(slot, "port");
        SlotRegisters s;

        return !port || slot_registers_read(port, &s) < 0 || !s.has_power_controller || s.power_on;
}

/* What was added, borrowed; NULL: somebody has done something there since. */
static json_object *add(json_object *ended, const Journal *j, const char *slot, const char *todo, const char *port) {
        uint64_t number = journal_removal(j);
        json_object *o;

        if (!slot || has_later(number, slot))
                return NULL;
        o = json_object_new_object();
        json_set_strf(o, "id", "%ju", (uintmax_t) number);
        json_set_str(o, "slot", slot);
        json_set_str(o, "do", todo);
        if (port)
                json_set_str(o, "port", port);
        json_object_array_add(ended, o);
        return o;
}

/* A slot whose power has gone is finished alone; where none has, all of them are put back, by the name of any. */
static void what_to_do(const Record *r, json_object *ended) {
        const Journal *j = r->journal;
        const Plan *plan = r->plan;
        int outcome = outcome_from_string(json_str(j->end, "outcome"));
        bool restoration = plan_is_restoration(plan), powered = true;

        if (outcome != (restoration ? OUTCOME_INCOMPLETE : OUTCOME_STUCK) || (!restoration && j->backwards && !record_is_left_down(r)))
                return;
        for (size_t i = 0; i < plan_n_slots(plan); i++) {
                if (has_power(plan_slot(plan, i)))
                        continue;
                powered = false;
                if (!restoration)
                        add(ended, j, json_str(plan_slot(plan, i), "name"), "remove", NULL);
        }
        if (powered)
                add(ended, j, plan_slot_name(plan), "restore", NULL);
}

/* The slot of a plan that is at that port; of a port inside of one the plan's first, which it is in. */
static const char *slot_of(const Plan *plan, const char *port) {
        for (size_t i = 0; i < plan_n_slots(plan); i++)
                if (streq_ptr(json_str(plan_slot(plan, i), "port"), port))
                        return json_str(plan_slot(plan, i), "name");
        return plan_slot_name(plan);
}

/* Its power LED blinks or is off over a card that has power. */
static bool is_untrue(const char *port) {
        SlotRegisters s;

        return held_is_driven(port) && slot_registers_read(port, &s) >= 0 && (led_blinks_over_card(&s) || slot_hides_power(&s));
}

/* It shows what a write of the removal that has come late says, or what it was left at for that, and not what it showed before the hold: its word, or NULL. One
 * that blinked then was somebody else's, who knows how long. */
static const char *attention_to_set(const Record *r, json_object *hold, const char *port) {
        _cleanup_json_ json_object *writers = journal_writers_left(r->journal);
        int before = indicator_from_string(json_str(hold, "attention_led"));
        SlotRegisters s;

        if ((before != INDICATOR_ON && before != INDICATOR_OFF) || !held_is_driven(port) || slot_registers_read(port, &s) < 0 || !s.has_attention_indicator ||
            s.attention == (Indicator) before)
                return NULL;
        for (size_t i = 0; i < json_len(writers); i++) {
                const char *what = json_str(json_at(writers, i), "what");
                if (slot_indicators_written(what, port) == s.attention || (s.attention == INDICATOR_ON && slot_write_darkens(what, port)))
                        return indicator_to_string((Indicator) before);
        }
        return NULL;
}

/* By the guard, and by a light, which is never put out over a power LED that is off. */
static void what_to_give_back(const Record *r, json_object *ended) {
        for (size_t n = 0; n < r->plan->n_steps; n++) {
                json_object *hold = r->plan->steps[n].type == STEP_HOLD ? r->plan->steps[n].args : NULL;
                const char *port = json_str(hold, "port"), *attention;

                if (!port)
                        continue;
                if (held_is_undriven(port) && held_is_marked(port))
                        add(ended, r->journal, slot_of(r->plan, port), "give-back", port);
                else if ((attention = attention_to_set(r, hold, port))) {
                        json_object *o = add(ended, r->journal, slot_of(r->plan, port), "attention", port);
                        if (o)
                                json_set_str(o, "shows", attention);
                } else if (is_untrue(port))
                        add(ended, r->journal, slot_of(r->plan, port), "light", port);
        }
}

static void look_at(const char *id, json_object *waiting, json_object *ended) {
        _cleanup_(record_freep) Record *r = calloc(1, sizeof(Record));
        _cleanup_free_ char *why = NULL;

        /* One that goes on has a worker of its own, or will have. */
        if (!r || journal_read(id, &r->journal, &r->plan, &why) < 0)
                return;
        Journal *j = r->journal;
        if (!j->ended || j->other_boot || journal_writers_load(j) < 0)
                return;
        json_object *writer = journal_writer(j);
        size_t before = json_len(ended);
        if (!writer)
                what_to_do(r, ended);
        if (!writer && json_len(ended) == before)
                what_to_give_back(r, ended);
        if (writer && json_u64(writer, "pid") > 0) {
                json_object *o = json_object_new_object();
                json_set_str(o, "id", id);
                json_set(o, "pid", json_ref(json_get(writer, "pid")));
                json_object_array_add(waiting, o);
        }
}

int worker_late(WorkerIo *io) {
        json_object *o = json_object_new_object(), *waiting = json_object_new_array(), *ended = json_object_new_array();
        _cleanup_listing_ Listing names = { 0 };

        json_set_str(o, "type", "late");
        json_set(o, "waiting", waiting);
        json_set(o, "ended", ended);
        (void) listing_readf(&names, "%s/writers", run_dir());
        for (size_t i = 0; i < names.n; i++) {
                uint64_t number;
                if (parse_u64(names.names[i], &number) >= 0) /* else a light's, which is nobody's removal */
                        look_at(names.names[i], waiting, ended);
        }
        worker_send(io, o);
        return 0;
}
