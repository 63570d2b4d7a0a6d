/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "step/evict/holder-look.h"

/* Stops processes without their noticing. If all processes of a cgroup may be stopped, its freezer does it, which catches forks too. A
 * process that shares its group with others (a login session), or has none, gets SIGSTOP. The notes, each
 * written before it is done, are {"cgroup", "unit"} and {"pid", "start_time", "comm"}. What somebody else has frozen or stopped
 * already is not noted, and stays so. */

/* 1: none of its threads can run, or only when its tracer lets it. 0: one can. -ESRCH: it has ended. */
int holder_is_frozen(const Holder *h);

/* Somebody sets it going again whenever it is held up, or it does not stand still, and is killed in the end. It is left to run until it is
 * ended: noted as {"let_be": pid, "start_time", "comm"}. */
int holder_let_be(StepRun *run, const Holder *h);
bool holder_is_let_be(StepRun *run, const Holder *h);

/* The same for all who are killed in the end: new ones keep appearing. Noted as {"let_be": "killed"}. */
int killed_let_be(StepRun *run);
bool killed_are_let_be(StepRun *run);

/* How long holding up may take, all together. */
typedef struct FreezeTime {
        uint64_t deadline;      /* monotonic */
        uint64_t killed_usec;   /* what is left of the time for those who are killed in the end and do not stand still; anybody can have many */
} FreezeTime;
FreezeTime freeze_time(uint64_t timeout_usec);

/* Writes down, in one go, those of many who are to be stopped one by one, as holder_freeze() does with each it does not find there. */
int holders_note(const HolderLook *l, StepRun *run, const Holders *found);

/* -ESRCH: it has ended; another errno with the reason noted. Who is killed in the end (holder_is_killed()) need not stand still: soon the others
 * of its group are stopped one by one, which is noted as {"one_by_one": cgroup}, and it is let be. */
int holder_freeze(const HolderLook *l, StepRun *run, const Holder *h, FreezeTime *t);

/* Stops, by SIGSTOP alone, one that holds nothing, for the sake of a holder. It need not stand still where that is killed in the end. */
int holder_stop_other(StepRun *run, const Holder *other, bool killed, FreezeTime *t);

/* Stops a process by SIGSTOP alone, whatever its group. */
int holder_stop(StepRun *run, const Holder *h, uint64_t deadline);

/* Lets it run, whoever held it up. With its group, all in there run. Who was not held up by this removal: evict/hold-meanwhile.h. */
int holder_thaw(const Holder *h);

/* 1: a stop is in force for one of its threads, or on its way to it. 0, -ESRCH. */
int holder_is_stopped(const Holder *h);

/* Adds those whom notes tell to have been held up to a set: an object with the groups' paths and freeze_process_key() (newly allocated) of
 * the processes as its keys. */
void freeze_notes_index(json_object *notes, json_object *set);
char *freeze_process_key(uint64_t pid, uint64_t start_time);

/* Is what any of the notes says still so? */
bool freeze_notes_in_force(json_object *notes);

/* Adds those of whom it is still so, to an object: the line of a shell that lets each go, and its name ("process 12 (dd)", "app.service"). */
void freeze_notes_standing(json_object *notes, json_object *lines);

/* Undoes what the notes say, last first, and goes on past one that fails. Notes about something else are passed over. 0 also when there
 * is nothing to undo any more. */
int freeze_notes_undo(json_object *notes, StepRun *run);
