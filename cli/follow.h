/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "cli/text/progress.h"
#include "client.h"
#include "listen.h"

/* Waits for the end of one removal. The daemon may die and come back meanwhile: systemd restarts it, and it takes the
 * removal up again under the same id and path. */
typedef struct Follow {
        Listen listen;
        sd_event *event;
        Progress progress;
        char *path, *id;
        char *name;             /* what a person calls it: its slot once that is known, else its id */
        bool look;              /* ask for the properties at the next turn */
        bool completed;         /* a signal said so */
        uint64_t deadline;      /* for finding the removal again, monotonic; 0: none */
        json_object *end;       /* its "end" event, once heard */
        char *leds;             /* what its last "led" event said, in words */
        int signal;             /* that made us leave */
        json_object *properties; /* as they are, by what was read and what was heard since; NULL: unknown */
        json_object *result;    /* safe-remove/removal/1 */
} Follow;

/* The number of the signal that ends a wait goes to *ret, which is 0 until then and lives as long as the event loop. */
int follow_signals(sd_event *event, int *ret);

void follow_done(Follow *f);
#define _cleanup_follow_ _cleanup_(follow_done)

/* Signals first, request second: call this before Remove, so that nothing said in between is missed. */
ExitCode follow_prepare(Follow *f, sd_bus *bus);

/* CODE_DONE with f->result set; CODE_DETACHED when a signal ended the wait; else the error has been printed. */
ExitCode follow_run(Follow *f, const char *path);
