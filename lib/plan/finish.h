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
        json_object *seen;      /* what else has been in its slots since, an array of scopes (scope_seen_json()); or NULL */
        json_object *unread;    /* of which slots that cannot be read, an array of {"slot", "path", "why"}; or NULL */
} FinishSource;

/* What a plan's light over this slot is asked about; NULL: it has none there. Borrowed. */
json_object *finish_scope(const Plan *plan, const Slot *slot);

/* May what was seen last in the slot (engine/last-seen.h) be of another card than the removal's, whose record began and ended then, by the monotonic
 * clock? Of what was seen meanwhile only what its plan does not know: while its power goes the removal's own card looks like one that tells nothing. */
bool finish_is_later(const Plan *plan, const Slot *slot, json_object *seen, uint64_t began_usec, uint64_t ended_usec);

/* Has the slot no power, and a light that does not say "safe to pull" yet? */
bool finish_is_due(const Plan *removal, const Slot *slot);

/* The plan that proves once more what that removal could not prove, and that nothing is left of what has been in the slots since, and sets the
 * light: "of" is its id, "since" its place in the kernel log. Writes nothing. */
int plan_finish(const Slot *slot, const PlanRequest *request, const FinishSource *source, Plan **ret);
