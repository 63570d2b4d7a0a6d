/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "plan/plan.h"
#include "plan/policy.h"

/* The step that runs them; none where there are none. */
int plan_add_hooks(Plan *p, const Policy *policy);

/* After plan_seal(): asks the hooks of a ready plan whether the removal may begin, where `ask` says that who wants to know has a say himself; else
 * a warning says that they will be asked. A veto, and whatever is no answer, blocks the plan. `removal` is its number, 0 for a plan that is only
 * shown. `cancelled` may be NULL; -ECANCELED. */
int plan_ask_hooks(Plan *p, const Policy *policy, bool ask, uint64_t removal, bool (*cancelled)(void *userdata), void *userdata);
