/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "plan/plan-request.h"
#include "plan/plan.h"
#include "topology/topology.h"

/* The plan for removing the card in a slot, and those in the request's others: one list of steps, in one order. All must have a card, and
 * none be inside of another (scope.h). Decides everything and writes nothing; looks at the kernel only through the
 * topology and the holders' readers. A blocked plan is a plan all the same, complete with its steps. */
int plan_removal(const Topology *t, const Slot *slot, const PlanRequest *request, Plan **ret);

/* The plan of a button press before anybody knows what is in the slot: hold it. Its step is the first of the plan that
 * plan_removal() makes afterwards. */
int plan_hold(const Slot *slot, const PlanRequest *request, Plan **ret);

/* What stands around the steps that take a card's things down or put them back: the slot is held, and the kernel's policy about
 * new memory blocks is off. */

/* STEP_HOLD or STEP_RELEASE; nothing where the slot has no hot-plug service. */
int plan_add_slot_service(Plan *p, const Slot *slot, StepType type);

/* A step that is about the slot with its card as a whole; scope is scope_probe_json()'s, kept by reference. */
int plan_add_about_scope(Plan *p, StepType type, json_object *scope);

/* From `was` to `value`; nothing where they are the same or unknown (NULL). */
int plan_add_auto_online(Plan *p, const char *value, const char *was);
