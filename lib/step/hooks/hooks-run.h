/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/hook.h"

typedef struct HookCall {
        HookPhase phase;
        uint64_t removal;               /* its number; 0 for a plan that is only shown */
        json_object *plan;              /* its document */
        uint64_t timeout_usec;          /* of each; they run side by side */
        bool (*cancelled)(void *userdata); /* may be NULL */
        void *userdata;
} HookCall;

/* Asks the hooks (array of {"name", "path", "user"} or {"name", "wrong"}), each as a unit of its own (kernel/process/system-manager.h). *ret: array of
 * {"name", "answer", "reason"} in their order, the caller's. Whoever cannot be asked, for want of a system manager too, answers "error". Where
 * nobody waits for them (hook_phase_is_told()), an answer is only whether they were started. -ECANCELED, or -ENOMEM. */
int hooks_call(json_object *hooks, const HookCall *call, json_object **ret);

/* Ends what another worker (its pid) has left running of that phase. */
void hooks_end_left(json_object *hooks, HookPhase phase, uint64_t removal, uint64_t pid);

/* What a hook reads. The caller's. */
json_object *hook_document(const HookCall *call);

/* The answer of one that has run, from how it ended: {"name", "answer", "reason"}. */
json_object *hook_answer_json(const char *name, const char *user, int code, int status, const char *output, size_t n);
