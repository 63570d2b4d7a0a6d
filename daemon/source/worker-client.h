/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <systemd/sd-event.h>

#include "base/json.h"

/* One safe-remove-worker process seen from the event loop: JSON lines in both directions over one socket, a deadline,
 * and exactly one word about its end. The guard starts it, tells of its end and kills it, together with whatever helpers
 * it had started for writes that may block. */

typedef struct Worker Worker;

typedef enum WorkerEnd {
        WORKER_EXITED,         /* code: exit status */
        WORKER_KILLED,         /* code: signal */
        WORKER_TIMED_OUT,      /* deadline passed, killed for it */
        WORKER_STOPPED,        /* stood still for 10 s, stopped by a signal or by who traces it, killed for it */
        WORKER_GARBLED,        /* said something that is no JSON object, killed for it */
        WORKER_UNKILLABLE,     /* sits in the kernel and does not even die: abandoned, may still come out and go on */
        WORKER_NOT_STARTED,    /* code: errno; the guard was not there, or could not do it */
        WORKER_UNSEEN,         /* it let go of its stream, and who had started it was gone before: nobody knows how it ended */
        _WORKER_END_MAX,
} WorkerEnd;

/* As a sentence goes on: "exited (1)", "was killed (9)", ... Newly allocated, NULL without memory. */
char *worker_end_text(WorkerEnd end, int code);

typedef struct WorkerHandler {
        void (*line)(json_object *line, void *userdata);
        void (*ended)(WorkerEnd end, int code, void *userdata); /* after the last line; nothing is called after it, but: */
        void (*died)(void *userdata); /* after WORKER_UNKILLABLE, unless it was freed: it has ended after all. May be NULL */
} WorkerHandler;

/* `safe-remove-worker VERB` (SAFE_REMOVE_WORKER in the guard's environment names another program), as soon as the guard is there; where that
 * is not soon the handler hears WORKER_NOT_STARTED. What is sent meanwhile waits for it. Both handlers may call worker_free(). */
int worker_spawn(sd_event *event, const char *verb, const WorkerHandler *handler, void *userdata, Worker **ret);

/* Sends one line. The messages are far smaller than a socket's buffer: a worker that has not read them is stuck, and the
 * error says so instead of queueing. One that could not be started has no error here: the handler hears why. */
int worker_send(Worker *w, json_object *message);

/* The worker is killed unless it ends, or a later call moves this, within `usec` from now. 0: no deadline. */
int worker_set_deadline(Worker *w, uint64_t usec);

/* 0: not known. */
int worker_pid(const Worker *w);

/* Where it hangs in the kernel (kernel/process/kernel-stack.h), once it was killed and did not die; NULL: nobody knows. Borrowed. */
const char *worker_stack(const Worker *w);

/* The process for which it stands still, and so does not die; 0: none that is known. */
int worker_traced_by(const Worker *w);

/* Has it killed if it still lives; no handler is called any more. NULL is fine. */
void worker_free(Worker *w);
DEFINE_CLEANUP_FUNC(Worker, worker_free)

/* How many workers of this daemon have not ended yet, freed ones included. */
unsigned worker_alive(void);
