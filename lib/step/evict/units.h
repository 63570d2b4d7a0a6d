/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "step/step.h"

/* The system manager's units. Names are JSON arrays of strings. Everything here is 0 or a negative errno with the reason
 * noted, -ENOENT where there is no system manager (kernel/process/system-manager.h). */

typedef struct UnitInfo {
        char *id;
        char *active;           /* ActiveState: "active", "reloading", "inactive", "failed", "activating", "deactivating" */
        char *cgroup;           /* NULL while it has none */
        bool loaded;
        bool transient;         /* its file was made at run time and goes with it: it cannot be started again */
        bool refuses_stop;      /* RefuseManualStop= */
        bool sends_kill;        /* SendSIGKILL=: when the time to stop is over */
        bool has_exec_stop;     /* it is told to stop in another way than by its signal (ExecStop=) */
        bool frozen;            /* by its manager (systemctl freeze) */
        int kill_signal;
        uint64_t stop_timeout_usec;     /* UINT64_MAX: infinity */
        json_object *dependents;        /* ids of units that are stopped with it */
        json_object *triggers;          /* ids of units that start it: sockets, paths, timers */
} UnitInfo;

typedef struct UnitInfos {
        UnitInfo *items;
        size_t n_items;
} UnitInfos;

void unit_infos_done(UnitInfos *u);

/* What the manager says of these units; to be freed with unit_infos_done(). One that there is not is not `loaded`. */
int units_show(StepRun *run, json_object *names, UnitInfos *ret);

/* One unit, by its name or an alias; the caller's to be freed with unit_infos_done(). *ret_info points into it. */
int unit_show(StepRun *run, const char *unit, UnitInfos *ret, const UnitInfo **ret_info);

/* Up or on its way up. */
bool unit_info_is_up(const UnitInfo *u);

/* Was it frozen by its manager? Not knowing is no. */
bool unit_is_frozen(StepRun *run, const char *unit);

/* Freezes or thaws it, so that its manager knows, and waits for it. */
int unit_freeze(StepRun *run, const char *unit, bool freeze);

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
