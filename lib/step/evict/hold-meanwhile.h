/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "step/evict/holder-freeze.h"

/* A process or group that somebody else has frozen or stopped stays so. Only a process that is asked to end has to run for that: it is thawed or
 * continued, and frozen or stopped again afterwards, whether it has ended or not. (SIGKILL reaches a stopped process, and one that the unified
 * hierarchy's freezer has frozen, kernel/signal.c:get_signal.) Notes, each written before anything is thawed or continued:
 *      {"frozen": "/x.slice/y.service", "id", "unit", "by_manager"}    the group and its inode; by_manager: `systemctl freeze` did it
 *      {"stopped": pid, "start_time", "comm", "unit"} */

typedef struct HoldMeanwhile {
        StepRun *run;
        json_object *ours;      /* who stands still for this removal, as freeze_notes_index() makes it */
} HoldMeanwhile;

/* From the notes of this step and of those before it in the plan. */
void hold_meanwhile_begin(HoldMeanwhile *o, StepRun *run);
void hold_meanwhile_done(HoldMeanwhile *o);

/* Lets a process run, with the groups from its own up to its unit's, whoever held it up: it is about to be told to end. 0, or a negative
 * errno: it could not be noted, and nobody was let go. */
int others_let_run(HoldMeanwhile *o, const Holder *h);

/* The same for all in a unit's group; NULL: it has none. */
int others_let_unit_run(HoldMeanwhile *o, const char *unit, const char *cgroup);

/* Lets it run as far as it stands still for this removal: it may let go by itself. */
void others_let_ours_run(const HoldMeanwhile *o, const Holder *h);

/* The group above the process's unit that somebody asked to freeze: it cannot be let go without strangers. Newly allocated; NULL: none. */
char *others_frozen_above(const Holder *h);

/* Holds up again whoever was noted and lives: the same process, the same group, or on the way back the unit that was started again in its
 * place. What cannot be is told as lost. A unit that is on its way down is let be, and in a restoration everybody is. */
void others_hold_again(StepRun *run);
