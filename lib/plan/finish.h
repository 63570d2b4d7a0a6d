/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "plan/planner.h"
#include "plan/scope/scope.h"

/* What the finishing of a removal is made from: one that is on record and got stuck after its point of no return. */
typedef struct FinishSource {
        const char *id;
        const Plan *plan;
        json_object *notes;     /* what its steps noted, by their number; NULL: nothing */
        json_object *since;     /* the kernel log's place when it began; may be NULL */
} FinishSource;

/* Has the slot no power, and a light that does not say "safe to pull" yet? */
bool finish_is_due(const Plan *removal, const Slot *slot);

/* The plan that proves once more what that removal could not prove, and sets the light: "of" is its id, "since" its place in the
 * kernel log. Writes nothing. */
int plan_finish(const Slot *slot, const PlanRequest *request, const FinishSource *source, Plan **ret);
