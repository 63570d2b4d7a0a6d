/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/json.h"

/* What `systemctl show` says about units: KEY=VALUE lines, an empty line between two units. */

typedef struct UnitInfo {
        char *id;
        char *active;           /* ActiveState: "active", "reloading", "inactive", "failed", "activating", "deactivating" */
        char *cgroup;           /* NULL while it has none */
        bool loaded;
        bool transient;         /* its file was made at run time and goes with it: it cannot be started again */
        bool refuses_stop;      /* RefuseManualStop= */
        bool sends_kill;        /* SendSIGKILL=: when the time to stop is over */
        int kill_signal;
        uint64_t stop_timeout_usec;     /* UINT64_MAX: infinity */
        json_object *dependents;        /* ids of units that are stopped with it */
        json_object *triggers;          /* ids of units that start it: sockets, paths, timers */
} UnitInfo;

typedef struct UnitInfos {
        UnitInfo *items;
        size_t n_items, n_allocated;
} UnitInfos;

void unit_infos_done(UnitInfos *u);

/* The properties to ask for, as `systemctl show` wants them: "--property=...". None of them can have a newline in it. */
const char *unit_info_properties(void);

/* Keys that are not known are passed over. -EBADMSG: a line without '=', a unit without Id= or ActiveState=. */
int unit_infos_parse(const char *text, UnitInfos *ret);

/* "1min 30s", "infinity", as systemd writes time spans. -EINVAL. */
int timespan_parse(const char *text, uint64_t *ret_usec);

/* Borrowed, or NULL. */
const UnitInfo *unit_info_find(const UnitInfos *u, const char *id);

/* Up or on its way up. */
bool unit_info_is_up(const UnitInfo *u);
