/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "plan/planner.h"

/* What a restoration is made from: a removal that is on record. */
typedef struct RestoreSource {
        const char *id;
        const Plan *plan;
        json_object *notes;     /* what its steps noted, by their number: {"3": [...]}; may be NULL */
        bool stuck;             /* it ended so: its attention LED is on for that */
        bool turned_back;       /* it got stuck on its way back: of what it took down only this is to be put back: */
        size_t n_begun;         /* the steps before this one, */
        json_object *undone;    /* without these: {"3": true}; may be NULL */
} RestoreSource;

/* Is `card` (scope_card_json()) in this slot the very one that the removal took down, by its serial number? One without a serial
 * number is known by its ids and its slot. */
bool restore_is_same_card(const Plan *removal, json_object *card, const Slot *slot);

/* Is it the place that a plan wrote down as its slot, or in a scope? By the port; where one of them has none (a module's socket) by the name. */
bool restore_is_same_place(json_object *was, const Slot *slot);

/* Was the removal one of this slot, and is its card nowhere else in the machine? Then the card in it may stand in for the other. */
bool restore_is_same_slot(const Plan *removal, const Topology *t, const Slot *slot);

/* The slot in which the card is now that the removal took out of its i-th slot; NULL: it is not there. */
const Slot *restore_slot_now(const Plan *removal, const Topology *t, size_t i);

/* The plan that puts back what a removal took down: "kind" is "restore", its steps are the removal's, last one first, each of
 * which is to be reverted, with the names that memory devices have now. `source` NULL: there is none on record. Writes nothing;
 * a plan that cannot be carried out is one all the same and says why. */
int plan_restoration(const Topology *t, const Slot *slot, const PlanRequest *request, const RestoreSource *source, Plan **ret);

/* restore-card.c. Memory devices of a removal's plan by the names they had: {"mem1": {"memdev", "serial"}} as they are now, the
 * card's own and those that shared a region with it. Those that are not there are missing in it. */
json_object *restore_memdevs(const Plan *removal, const Topology *t, const Slot *slot);

/* restore-card.c. What stands against putting the removal's things back with what is in the slot. */
typedef struct Findings Findings;
void restore_find_blockers(Findings *f, const Plan *removal, json_object *card, json_object *memdevs);

/* restore-card.c. The same of the platform's windows that its regions were in. */
void restore_find_windows(Findings *f, const Plan *removal, json_object *memdevs);
