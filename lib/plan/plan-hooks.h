/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "plan/plan.h"
#include "plan/policy.h"

/* The step that runs them; none where there are none. */
int plan_add_hooks(Plan *p, const Policy *policy);

typedef struct HooksQuery {
        bool ask;               /* who wants to know has a say himself; else a warning says that they will be asked */
        uint64_t removal;       /* its number; 0: a plan that is only shown */
        const char *digest;     /* the removal is asked for with this plan; or NULL */
        bool was_shown;         /* who asks for it has a say, and may have been shown it a moment ago (step/hooks/hooks-said.h) */
        bool (*cancelled)(void *userdata); /* may be NULL */
        void *userdata;
} HooksQuery;

/* After plan_seal(): asks the hooks of a ready plan whether the removal may begin. A veto, and whatever is no answer, blocks the plan. -ECANCELED. */
int plan_ask_hooks(Plan *p, const Policy *policy, const HooksQuery *query);
