/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/json.h"
#include "engine/state-dir.h"

/* The records of removals, STATE_DIR/removals/ID/journal, which the workers write. The daemon reads none of
 * them itself: a worker tells what it wants to know. */

/* One removal: {id, slot, target, trigger, by, options, card, boot, started_usec, steps_done, steps_undone, ended}, and of
 * an ended one {ended_usec, took_usec (by a clock that nobody sets; none where a boot came between: then ended_boot), outcome, code, message, remedy, lost}. -ENOENT when there is no such record, -ENODATA when it was
 * not begun: its worker had touched nothing then. */
int history_entry(uint64_t number, json_object **ret);

/* "safe-remove/history/1", newest first, at most `limit` entries (0: as many as there are, up to an upper bound). */
int history_load(uint32_t limit, json_object **ret);

/* The same of those with lower numbers than that. */
int history_load_before(uint64_t before, uint32_t limit, json_object **ret);

/* Each record of a removal's journal in turn (record_each()). */
int history_records(uint64_t number, record_take_t take, void *userdata);

/* A removal's plan, as it is kept. -ENOENT: it has none (yet). */
int history_plan(uint64_t number, json_object **ret);

/* Which "port" it holds, and its "plan_slots", as far as its plan can be read. */
void history_add_port(json_object *entry, uint64_t number);

/* The highest number of any folder (0: none), and the removals that were begun and have not ended: an array of entries,
 * oldest first, each with the "port" of its slot. Those whose record cannot be read may be such: {"id", "why"}, and where its plan can be
 * read "port" and "plan_slots". And those that can be read of the newest removals, newest first, `recent` at most. Each journal is read once. */
int history_survey(size_t recent, uint64_t *ret_highest, json_object **ret_unfinished, json_object **ret_unreadable, json_object **ret_recent);

/* What the record of a removal that has not ended wants of the ports it holds, those of slots inside of its slots among them:
 * {"PORT": "claim" or "yield"} (PortWant). Empty where it has no plan that can be read. *ret_finishing: it has begun a step that cannot be
 * undone, and has not turned back; false where that cannot be read. */
json_object *history_holds(uint64_t number, bool *ret_finishing);
