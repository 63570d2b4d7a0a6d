/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/json.h"
#include "base/util.h"

/* The view of a running removal. On a terminal one line a step, the last of which is repainted in place with progress
 * and elapsed time; elsewhere one plain line for everything that ended. Silent in JSON mode. */
typedef struct Progress {
        bool live;              /* a terminal that can repaint a line */
        bool silent;
        char *step;             /* "[ 3/12] offline-memory", the step that runs; NULL: no line to repaint */
        char *detail;           /* its latest progress, or NULL */
        uint64_t started;       /* of that step, monotonic */
        char *started_note;     /* newly allocated: said before anything else, once it has really started; NULL: said, or nothing to say */
        json_object *plan;      /* what its steps do; NULL when that was said before we listened */
} Progress;

void progress_start(Progress *p);
void progress_has_started(Progress *p);                 /* it works: not refused, not nothing */
void progress_event(Progress *p, json_object *event);
void progress_note(Progress *p, const char *text);      /* a whole line between the steps */
void progress_tick(Progress *p);                        /* repaints: time has passed */
void progress_done(Progress *p);
