/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/json.h"

/* The system manager, PID 1, asked through the socket that it has for root alone (/run/systemd/private): what systemctl does, without a
 * process for each question, and without a bus that anybody can keep busy. This is the one file of lib/ that knows sd-bus.
 *
 * Each function makes a connection of its own and waits no longer than `timeout_usec` (base/clock.h: time_for()) for everything together.
 * 0, or a negative errno with *ret_why newly allocated (NULL without memory): -ENOENT where there is no such manager, -ETIME when it
 * does not answer in time, -EIO when it says no. What it was asked for before may be done still: a manager serves its oldest message
 * first, so what is asked of it later, by whomever, comes after that. */

/* The properties of units, loaded for that where they are not yet: {"NAME": {"Id": "NAME", "ActiveState": "active", ...}}, by the names asked
 * for (array of strings). Texts, flags, numbers and lists of texts as what they are in JSON; of any other list nothing but its
 * length, as that many nulls; what is nothing of these is left out. */
int system_manager_show(json_object *names, uint64_t timeout_usec, json_object **ret, char **ret_why);

/* The files that it has read for a unit, in the order in which they count (later wins): array of paths, which the caller owns. A unit that there is
 * not has none. With no unit (NULL) the folders that it reads such files from. */
int system_manager_paths(const char *unit, uint64_t timeout_usec, json_object **ret, char **ret_why);

/* Queues a job for each of them, in their order, going on past one that is refused: "StopUnit", "StartUnit". With `wait` it comes back when the
 * last job has ended, and a job that failed is -EIO. */
int system_manager_queue(const char *method, json_object *names, bool wait, uint64_t timeout_usec, char **ret_why);

/* Has the manager do something at once, and waits for its end: "FreezeUnit" and "ThawUnit" of a unit, "Reload" with no unit (NULL). */
int system_manager_do(const char *method, const char *unit, uint64_t timeout_usec, char **ret_why);

/* A program that is to run once as a unit of its own (Type=oneshot), which is gone when it has ended: with nobody's rights but the user's, no way to more,
 * little memory, few processes, and without a mount namespace of its own, which would have copies of mounts. */
typedef struct UnitRun {
        const char *unit;               /* "NAME.service", that there is not */
        const char *description;
        const char *path, *argument;    /* absolute; its one argument */
        const char *user;
        uint64_t timeout_usec;          /* then it is ended, with all that it started */
        int in;                         /* becomes its standard input; the caller keeps it */
        size_t output_max;              /* of its standard output so much is kept, the last of it; 0: all goes to the journal, as its error output does */

        /* How it went; to be freed with unit_run_done(). */
        bool ended;
        int code, status;               /* as waitid(2) has them; code 0: no process was made, or nobody knows */
        bool timed_out;
        char *why;                      /* that it could not be started, or did not end; else NULL */
        char *output;
        size_t n_output;
        struct json_object *properties; /* what the manager told meanwhile */
        char *object;                   /* its path there */
        int out;                        /* where its output is read, while it runs */
} UnitRun;

void unit_run_done(UnitRun *run);

/* Starts them all, side by side, and waits for their ends, unless `wait` is false: then only until the manager has taken the orders. What they print is
 * read and thrown away all the time, so none of them waits for us. `cancelled` (may be NULL) is asked again and again: -ECANCELED. A unit that is refused, or
 * does not end in all that time, has `why`. Where it cannot go on, or is cancelled, those that were started are stopped, and waited for. */
int system_manager_run(UnitRun *runs, size_t n, bool wait, uint64_t timeout_usec, bool (*cancelled)(void *userdata), void *userdata, char **ret_why);
