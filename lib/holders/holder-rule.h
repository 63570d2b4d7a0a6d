/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/json.h"
#include "base/strtab.h"
#include "holders/holder.h"
#include "holders/memory/memory-holder.h"

/* What is done about a holder, decided by the administrator. Rules travel as JSON in the arguments of the steps that act on them:
 *      {"unit": [..], "exe": [..], "kind": [..], "action": ["wait", "stop", "term"], "reason": null, "wait_sec": 0, "stop_sec": 30,
 *       "freeze_sec": 0, "term_sec": 10, "kill_sec": 5, "from": "FILE"}
 * in an array where the first that matches counts. A holder matches when it fits a pattern (fnmatch(3)) of each list that is not
 * empty. What "exe" says is about files, looked at when a rule is asked for: a process does not choose what it is taken for. The files they come from: lib/plan/policy-rules.h. */

typedef enum HolderAction {
        HOLDER_REFUSE,          /* stands alone */
        HOLDER_WAIT,            /* let it run, it may end by itself */
        HOLDER_STOP,            /* the unit */
        HOLDER_FREEZE,          /* leave it frozen */
        HOLDER_TERM,            /* SIGTERM to the process */
        HOLDER_SHUTDOWN,        /* the file systems it uses; in no rule, those say it by mount point */
        HOLDER_KILL,            /* SIGKILL; only ever when the request says so */
        _HOLDER_ACTION_MAX,
        _HOLDER_ACTION_INVALID = -EINVAL,
} HolderAction;

DECLARE_STRING_TABLE(holder_action, HolderAction); /* "refuse", "wait", "stop", "freeze", "term", "shutdown", "kill" */

/* The rule about a holder: borrowed from the array; NULL where none matches, which is the built-in default (wait stop term) for all
 * the functions below. */
json_object *holder_rule_for(json_object *rules, const Holder *h);
json_object *memory_holder_rule_for(json_object *rules, const MemoryHolder *h);

/* Who knows what a unit says of itself (plan/declaration.h): a rule, borrowed, or NULL. It counts after the administrator's rules and before those of
 * the package that have no priority. For the whole process; until it is set, no unit says anything. */
void holder_rule_set_declared(json_object *(*declared)(const char *unit));

/* Is the action among its rungs? */
bool holder_rule_has(json_object *rule, HolderAction action);

/* How long this rung may take; microseconds. */
uint64_t holder_rule_usec(json_object *rule, HolderAction action);

/* Why it refuses, for a person; never NULL. */
const char *holder_rule_reason(json_object *rule);

/* What the request allows beyond the rules. */
typedef struct HolderForce {
        bool kill;              /* SIGKILL is the last thing tried */
        bool shutdown;          /* before that, a file system that the process uses is shut down */
} HolderForce;

/* The rungs for a process, in their order; none when the rule refuses. Without "stop" where its unit cannot be stopped for it
 * (holder_unit_can_stop()), without "kill" unless the request forces it, and then always with it; "shutdown" right before that. Returns
 * how many. */
size_t holder_rule_ladder(json_object *rule, const Holder *h, HolderForce force, HolderAction ret[static _HOLDER_ACTION_MAX]);

/* May this unit be stopped for the sake of one of its processes? Services, and scopes that are no login session. Not a user's
 * manager, which is all that user's session, and not what this machine's manager itself lives in. */
bool holder_unit_can_stop(const char *unit);

/* A new rule with the built-in budgets that matches everything; owned by the caller. */
json_object *holder_rule_new(const char *from);
void holder_rule_set_actions(json_object *rule, const HolderAction *actions, size_t n);
void holder_rule_add_pattern(json_object *rule, const char *list, const char *pattern); /* "unit", "exe", "kind" */
