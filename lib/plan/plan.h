/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/json.h"
#include "base/strtab.h"
#include "step/step.h"

/* A removal as a value: complete before anything is touched, and the same value whether it is printed, digested, journaled,
 * sent, executed, resumed or reversed. The document is the plan (format: docs/PROTOCOL.md); the steps are a typed view of it. */

typedef enum PlanVerdict {
        PLAN_READY,
        PLAN_BLOCKED,
        PLAN_NOTHING,
        _PLAN_VERDICT_MAX,
        _PLAN_VERDICT_INVALID = -EINVAL,
} PlanVerdict;

DECLARE_STRING_TABLE(plan_verdict, PlanVerdict); /* "ready", "blocked", "nothing" */

typedef struct Plan {
        json_object *doc;
        Step *steps;
        size_t n_steps, n_allocated;
} Plan;

void plan_free(Plan *p);
DEFINE_CLEANUP_FUNC(Plan, plan_free)

/* One without steps, the caller's. -ENOMEM. */
int plan_new(Plan **ret);

/* Takes over args. */
int plan_add_step(Plan *p, StepType type, json_object *args);

/* Completes a plan after its last step: asserts its shape (steps that cannot be undone form the tail: -EINVAL), writes
 * the steps with their descriptions, estimate and digest into the document. */
int plan_seal(Plan *p);

/* Reads a sealed plan back. -EBADMSG with *ret_why for anything that is not one. */
int plan_from_json(json_object *doc, Plan **ret, char **ret_why);

/* The plan of a restoration is made of a removal's steps, each of which is to be reverted: "does" is then what the revert does. */
bool plan_is_restoration(const Plan *p);

/* That of finishing a removal (finish.h) takes nothing down and has no way back. */
bool plan_is_finish(const Plan *p);

/* That of a self-test ("self_test": "held" or "power") is a removal's up to where nothing is left that stands on the card, and is then put back. */
bool plan_is_self_test(const Plan *p);

/* What its document says, borrowed. One without a verdict that is understood is blocked; before plan_seal() there is no digest. */
PlanVerdict plan_verdict(const Plan *p);
bool plan_has_blocker(const Plan *p, const char *code);
const char *plan_digest(const Plan *p);
const char *plan_slot_name(const Plan *p);
size_t plan_n_slots(const Plan *p);
json_object *plan_slot(const Plan *p, size_t i); /* "name", "port" of each slot; the first is the one above */
const char *plan_slot_address(const Plan *p, size_t i); /* "DDDD:BB:DD", as the steps that switch its power know it; or NULL */
char *plan_slot_words(const Plan *p); /* as a command names them: "2", "2 3"; the caller's */
size_t plan_first_irreversible(const Plan *p); /* n_steps when there is none */
