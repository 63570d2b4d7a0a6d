/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "step/step.h"

/* Memory that somebody adds elsewhere while new memory is kept offline stays offline, and nobody tells. So whoever turns the policy off
 * notes what there is, and whoever turns it on again brings online what has come since, by the administrator's own word. */

/* Writes down which blocks there are, and which of them are online. 0 or a negative errno with the reason noted. */
int newcomers_note(StepRun *run);

/* The first such note among a step's; NULL: none. Borrowed. */
json_object *newcomers_noted(json_object *notes);

/* Behind the policy: blocks that are new, or went and came back and were online, are brought online by `word`; what could not be is told
 * as lost, and so is one that never went away and is offline now, which somebody has set so. `own`: [[first, last], ...] that are the
 * card's, besides those of the plan (run->takes_down). Others' memory fails no removal; it takes no longer than two writes may. */
void newcomers_bring_online(json_object *note, json_object *own, const char *word, StepRun *run);
