/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/json.h"

/* The worker's side of the line protocol (docs/PROTOCOL.md): JSON objects, one a line, in on one descriptor and out on
 * another. A daemon that is gone is not a reason to stop: writing then goes nowhere, and nothing is cancelled. */
typedef struct WorkerIo {
        int in, out;
        char *buffer;
        size_t length, allocated;
        bool ended;             /* the daemon's end is closed */
        bool go;
        char *refuse;           /* came with the go: a press that is answered with this reason, and nothing else */
        bool announced;         /* listeners were told that it begins */
        bool released;          /* the inhibitors that the plan names are gone, all that may delay it */
        json_object *inhibitors; /* came with the go, or with the request; owned, or NULL */
        char *cancel_why;       /* set once a cancel came in */
        json_object *by;        /* who asked, as the request has it; the request's own. NULL: nobody did */
} WorkerIo;

void worker_io_done(WorkerIo *io);

/* Sends one object; takes it over. */
void worker_send(WorkerIo *io, json_object *line);

/* Sends a document, JSON in one line, that may be long. Where the request has "parts": true it goes in `part`s that need no more memory than
 * themselves at the other end, and an `answer` line. NULL: memory is short, which is an `error`. */
void worker_send_document(WorkerIo *io, json_object *request, const char *text);

/* The line that says what went wrong, with one of the error codes of docs/PROTOCOL.md: as who asked may see it (worker/view.h). */
void worker_send_error(WorkerIo *io, const char *code, const char *message);

/* A new object with its type set. */
json_object *worker_line(const char *type);

/* Takes in what has arrived, waiting up to timeout_msec for the first byte. */
void worker_receive(WorkerIo *io, int timeout_msec);

/* The first line, whatever it is. -ENODATA when the stream ends first or nothing comes within timeout_msec. */
int worker_receive_request(WorkerIo *io, int timeout_msec, json_object **ret);

/* Who does not want cards to go, as the daemon says with a line, in the place of what it said before. */
void worker_take_inhibitors(WorkerIo *io, json_object *line);

/* Looks for a cancel without waiting. */
bool worker_cancelled(void *io);

/* -EPERM, and he is told: it was the daemon who started this worker. */
int worker_is_for_own_starter(WorkerIo *io);
