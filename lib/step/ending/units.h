/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "holders/unit-info.h"
#include "step/step.h"

/* The system manager's units, by systemctl. Names are JSON arrays of strings. Everything here is 0 or a negative errno with the reason
 * noted, -ENOENT where there is no systemctl. */

/* What systemctl shows of these units; to be freed with unit_infos_done(). */
int units_show(StepRun *run, json_object *names, UnitInfos *ret);

/* One unit; the caller's to be freed with unit_infos_done(). *ret_info points into it. */
int unit_show(StepRun *run, const char *unit, UnitInfos *ret, const UnitInfo **ret_info);

/* Was it frozen by its manager (systemctl freeze)? Not knowing is no. */
bool unit_is_frozen(StepRun *run, const char *unit);

/* Freezes or thaws it, so that its manager knows, and waits for it. */
int unit_freeze(StepRun *run, const char *unit, bool freeze);

/* Is it told to stop in another way than by its signal (ExecStop=)? 1 or 0. */
int unit_has_exec_stop(StepRun *run, const char *unit);

/* What goes down when this unit is stopped and is up now: what triggers it (it would start it again), the unit itself, and what depends on
 * it. Both arrays are new: those that can be started again, and those that cannot (scopes, units made at run time). */
int unit_group(StepRun *run, const UnitInfo *unit, json_object **ret_units, json_object **ret_passing);

/* Queues the stop of a unit with what triggers it. */
int unit_stop(StepRun *run, const UnitInfo *unit);

/* Starts them all in one go, so that the manager orders them, and waits for it. */
int units_start(StepRun *run, json_object *names);

/* The manager ends what is left of a unit with SIGKILL when the time it has to stop is over. Spared, it does not: a file in /run says so,
 * until unit_unspare(). Both have the manager read its files anew, which can take seconds. */
int unit_spare(StepRun *run, const char *unit);
int unit_unspare(StepRun *run, const char *unit);
bool unit_is_spared(const char *unit);

/* Takes away what is left of that by whoever went away before a unit was down, unless that is on its way down still. For who has the machine
 * alone: a removal that runs needs its own, and takes those away itself; `but` names them (array, or NULL). Goes on past a failure. */
int units_unspare_left(StepRun *run, json_object *but);

/* Appends a name unless it is there. */
void names_add(json_object *names, const char *name);
bool names_have(json_object *names, const char *name);
