/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "plan/plan.h"
#include "plan/policy.h"
#include "topology/topology.h"

typedef struct PlanRequest {
        const char *target;     /* as the user wrote it */
        json_object *targets;   /* of several cards: each of them, an array of strings; else NULL */
        const Slot *const *others; size_t n_others;     /* more slots whose cards go in the same removal */
        const Slot *const *under_way; size_t n_under_way; /* slots of other removals that have begun: their cards go as well */
        json_object *writers;   /* what earlier removals of these slots have left behind in the kernel, an array of {"removal", "light",
                                 * "unread" (its record cannot be read), "text", "remedy"}; or NULL */
        json_object *unread;    /* removals of these slots, of those inside of them and around them, whose records cannot be read, an array of
                                 * {"id" (NULL: nobody knows which there are), "slot" (NULL: it may be of any), "why"}; or NULL */
        const char *trigger;    /* "command", "button", "uevent" */
        const Policy *policy;
        json_object *policy_warnings; /* array of strings, may be NULL */
        int caller_session;     /* getsid() of who asks: nothing of that session is ended; 0 for a button */
        const char *state_dir;  /* where removals are written down: must not lie on the card */
} PlanRequest;

/* The plan for removing the card in a slot, and those in the request's others: one list of steps, in one order. All must have a card, and
 * none be inside of another (scope.h). Decides everything and writes nothing; looks at the kernel only through the
 * topology and the holders' readers. A blocked plan is a plan all the same, complete with its steps. */
int plan_removal(const Topology *t, const Slot *slot, const PlanRequest *request, Plan **ret);

/* The plan of a button press before anybody knows what is in the slot: hold it. Its step is the first of the plan that
 * plan_removal() makes afterwards. */
int plan_hold(const Slot *slot, const PlanRequest *request, Plan **ret);
