/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "step/evict/hold-meanwhile.h"

/* Ends the processes that use a card, each by the actions of its rule: one action is begun, has its time, and is followed by the next. A unit is
 * stopped once for all its processes. Notes, each written before the action that it is about:
 *      {"stop": "x.service", "units": [...], "passing": [...], "kill_at_usec", "wait_usec"}
 *              the units that stop with it: those that can be started again, and those that cannot; when systemd would kill the rest
 *              (monotonic clock; 0: never), and how long the stop may take
 *      {"signal": 15, "pid", "start_time", "comm", "unit", "units": [...]}
 *      {"spare": "x.service"}
 *      the notes of processes that others had frozen or stopped (evict/hold-meanwhile.h)
 *      the notes of a file system that is shut down (shutdown.h), and {"remounting": "259:0"} before it is mounted afresh
 */

typedef struct UnitStop {
        char *unit;
        uint64_t begun_at;
        uint64_t until;         /* its rung is over then */
        uint64_t kill_at;       /* monotonic; UINT64_MAX: the manager kills nobody */
        uint64_t ask_at;        /* when to look at its state next */
        unsigned times;
        bool over;
        bool was_down;          /* it had stopped; who is in it now came back */
} UnitStop;

typedef struct Ending {
        int pid;
        uint64_t start_time;
        uint64_t seen_at;       /* first; monotonic */
        HolderAction rungs[_HOLDER_ACTION_MAX];
        size_t n_rungs, at;
        bool begun;
        unsigned tracers;       /* so many were killed, one after the other, for keeping it from its end */
        bool again;             /* its unit came back after a stop, and gets another */
        uint64_t until;
        char *why_not;          /* what kept a rung from being taken */
} Ending;

typedef struct EndRun {
        const HolderLook *look;
        StepRun *run;
        HoldMeanwhile others;
        bool force_kill;
        json_object *shutdown;  /* array, or NULL: the file systems that may be shut down (shutdown.h); borrowed */
        json_object *tried;     /* those of them for which it was tried; owned */
        const Holders *round;   /* all who were seen last; borrowed */
        Ending *endings;        size_t n_endings, a_endings;
        UnitStop *stops;        size_t n_stops, a_stops;
} EndRun;

void end_run_done(EndRun *e);

/* Takes a holder that was just seen one step further. 1: it is under way; 0: nothing is left to try; or a negative errno with the
 * reason noted. *ret_ending is borrowed, until the next call. */
int end_holder(EndRun *e, const Holder *h, const Ending **ret_ending);

/* What is being waited for, in words, and until when the longest wait lasts. Newly allocated. */
char *end_waiting_for(const EndRun *e, const Holder *h);

/* Is it there although, and since, its unit was stopped? Somebody starts it: a socket, a timer, Restart=, a person. */
bool end_came_back(const EndRun *e, const Holder *h, const Ending *n);

/* end-unit.c. A rung that is not taken has a reason, which is taken over; always 0, which is "not for this one". */
int end_pass(Ending *n, char *why);

/* The rung "stop" of a holder. 1: its unit is being stopped; 0: not for this one; or a negative errno. */
int end_unit_begin(EndRun *e, Ending *n, const Holder *h, uint64_t wait_usec);

/* Has the unit stopped, or is its time over? In the second case its manager must not go on to kill. NULL: nothing to watch. */
int end_unit_watch(EndRun *e, const char *unit);
UnitStop *end_unit_find(const EndRun *e, const char *unit);

/* is there a file system among those that it uses? */
bool end_shutdown_concerns(const EndRun *e, const Holder *h);

/* What was shut down and not taken away since is unmounted and mounted again: 0 or a negative errno with the reason noted. Is there any? */
int end_shutdown_undo(json_object *entries, StepRun *run);
int end_shutdown_left(json_object *entries, StepRun *run);

/* end-undo.c: by the notes alone. Has it had a SIGKILL of ours? */
bool end_was_killed(const StepRun *run, int pid, uint64_t start_time);

/* The other way. */
int end_undo(StepRun *run);
bool end_is_undone(StepRun *run);

/* The manager kills again where it was kept from it, once the unit is down: 0 or a negative errno with the reason noted. */
int end_unspare(StepRun *run);

/* {"spare": unit}, then unit_spare(). */
int end_spare(StepRun *run, const char *unit);
