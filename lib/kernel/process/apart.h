/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "kernel/process/apart-child.h"

/* Work that the kernel may never give back (a write to an attribute, umount, syncfs, joining another mount namespace), done in
 * a process of its own: the worker goes on whatever becomes of it. */

typedef struct ApartOptions {
        const char *what;       /* what it changes, for a person; NULL: it only looks */
        bool interruptible;     /* a signal ends the work; otherwise it is left behind when its time is over */
        size_t flat;            /* of the data, where none of its bytes points anywhere: then apart_make_ready() has made it cheaper; 0: unknown */
        bool outlives;          /* it is to go on when the teller has ended: no signal to that one's group reaches it */
        uint64_t timeout_usec;

        /* Asked several times a second meanwhile; true ends interruptible work. (Other work goes on: its outcome is needed to
         * know what to undo.) */
        bool (*cancelled)(void *userdata);

        /* run_apart() calls it while the work is under way; NULL: there is nothing else to do. */
        void (*meanwhile)(void *userdata);
        void *userdata;
} ApartOptions;

/* Is told of all work that changes something, before that begins: a negative errno keeps it from beginning, and so does the end of the
 * teller. start_time: of the working process, in jiffies. mortal: a signal ends it, which it gets with the teller's end as well; but one
 * that hangs in the kernel hears none. One for all; NULL: nobody is told. */
typedef int (*apart_witness_t)(void *userdata, const char *what, int pid, uint64_t start_time, bool mortal);
void apart_set_witness(apart_witness_t witness, void *userdata);
bool apart_has_witness(void);

/* Is told when the work of such a process has come to its end, whatever it returned: the process waits for the next from then on, and ends with us.
 * A negative errno: that could not be written down, and it is ended. NULL, which it is for each new witness: a process does one thing and ends. */
typedef int (*apart_witness_of_end_t)(void *userdata, int pid, uint64_t start_time);
void apart_set_witness_of_end(apart_witness_of_end_t ended);

/* Tells the witness of a process that waits for a byte from `go`, and lets it begin. A negative errno: it must not. */
int apart_begins(const char *what, int pid, bool mortal, int go);

/* Is such a process still at it? */
bool apart_is_alive(int pid, uint64_t start_time);

/* This process may be left behind itself, and nobody waits for its answer: from now on it does what it has to do even where the machine has no
 * process or descriptor left for another one, and is then what the witness is told of. */
void apart_be_expendable(void);

/* Flat work is done by two processes from now on, the writer and the looker, as long as what each of them does comes to an end in time: then by
 * another one. They are made by a process that knows nothing of the machine yet (ready.h). */
void apart_make_ready(void);

/* What the work returned; -ETIME when the time was over and it was ended, or was not begun for that (base/clock.h), -ECANCELED likewise;
 * -EINPROGRESS when it was left behind, also what a signal should have ended and has not;
 * -ECHILD when it died without an answer. *ret_text is what it had to say, or NULL; NULL for ret_text: nobody listens. */
int run_apart(apart_work_t work, void *data, const ApartOptions *options, char **ret_text);

/* What of it has been read so far. */
typedef struct ApartAnswer {
        char *bytes;
        size_t n, allocated;
} ApartAnswer;

/* The same for whoever has something else to do meanwhile. */
typedef struct Apart {
        ApartOptions options;
        ApartChild child;
        ApartHelper *helper;    /* who does it, where it is one that stays */
        bool is_killed;
        uint64_t deadline;      /* monotonic */
        ApartAnswer answer;
} Apart;

/* Begins the work; its time runs from here on. What the options point to has to be there until the answer is. Nothing was begun where it fails:
 * -ETIME as above, or another negative errno; apart_forget() may be called all the same. */
int apart_start(apart_work_t work, void *data, const ApartOptions *options, Apart *ret);

/* What run_apart() returns, or -EAGAIN where it has not answered after so long, and may be asked again. At its deadline it is told so, whatever
 * is waited for. *ret_text is written with an answer alone, and is the caller's. */
int apart_answer(Apart *a, uint64_t wait_usec, char **ret_text);

/* Nobody waits for an answer any more. Work that has not ended goes on. */
void apart_forget(Apart *a);
