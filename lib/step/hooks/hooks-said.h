/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/json.h"

/* What hooks have said to a plan that somebody was shown, kept in run_dir() for the removal that is asked for with that plan: they are asked once for one
 * wish, and not again for each look that it takes. Only that none of them has anything against it is kept; whoever objects, or gave no answer, is asked
 * again. It is used up by the removal, and counts for a minute, and only as long as nothing of it has changed: the plan (by its digest), how many use the
 * card, and which hooks there are, each by its file and user. What a hook alone knows of may change all the same: it can still object in "pre". */

/* hooks as in hooks_find(). A negative errno where it cannot be kept: they are asked again then. */
int hooks_said_keep(json_object *hooks, json_object *plan);

/* Have they nothing against this plan, as far as is kept? Whatever is kept is gone then. */
bool hooks_said_take(json_object *hooks, json_object *plan);
