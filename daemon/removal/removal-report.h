/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "daemon/source/question.h"

/* What a removal has to say of holders, steps and blockers: its plan, and how it ended. Root gets all of it, others what the worker says that
 * everybody may see. Each is put together once, for all who ask. A report is made by the first that is said: NULL is one without anything. */

typedef struct RemovalReport RemovalReport;

/* The plan of an event, whole and "public"; both may be long, and neither is kept in this process's memory. */
int removal_report_take_plan(RemovalReport **report, json_object *event);

/* Of an ending: {"message", "remedy", "lost", "disturbed"} for everybody; NULL: nothing that says more than the daemon itself. */
int removal_report_take_ending(RemovalReport **report, json_object *public);

/* The ending for root. */
typedef struct RemovalEnding {
        const char *id, *message; /* NULL: none yet */
        char **remedy, **lost, **disturbed; /* NULL-terminated, may be NULL */
} RemovalEnding;

/* "safe-remove/report/1" as it is now. */
int removal_report_make(RemovalReport **report, const RemovalEnding *ending, bool privileged, Answer **ret);

void removal_report_free(RemovalReport *p); /* NULL is fine */
