/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "daemon/worker/io.h"
#include "daemon/worker/request.h"
#include "engine/chain.h"
#include "engine/engine.h"
#include "led/led.h"
#include "step/hooks/hooks-run.h"

/* What the parts of a removal in the worker share: removal/removal.c begins one, removal/resume.c goes on with one, both come to
 * removal/ending.c; worker/tell.c tells the daemon. */

typedef struct Removal {
        WorkerIo *io;
        Request request;
        Plan *plan;
        Journal *journal;
        Engine engine;
        int lock;
        uint64_t started;
        /* Of a give-back, else 0 (monotonic): when it has the machine or goes without it, is through with the steps, and with the slots. */
        uint64_t until_lock, until, until_slots;
        json_object *audit_later; /* of a give-back: what its end has for the audit log is added here, since others wait behind it */
        size_t step;            /* the one under way, for its progress */
        json_object *said;      /* what the libraries have logged, as keys: each line is told once */
        char certificate[SHA256_HEX]; /* the digest of the one that was written at its end; "" without */
        bool unwritten;         /* its end, or its certificate, is not on record yet: the disk is full, say */
} Removal;

void removal_done(Removal *m);

/* Makes plan and journal the engine's, and its events the daemon's. */
void removal_set_up_engine(Removal *m);

/* Waits until no other removal has the machine. 1: had to wait, so what was seen before may be old. -EWOULDBLOCK: the time was over. */
int removal_take_machine(Removal *m);

/* Keeps the number before the target is told: nobody hears of a number that could be given to another one. Where that is not possible, which is told,
 * nothing is begun. */
int removal_take_number(Removal *m);

/* Waits for the daemon's word; false when it does not come. */
bool removal_may_go(Removal *m);

/* Writes plan and start record down. */
int removal_begin(Removal *m);

/* Why the plan is not carried out and the code of that, or NULL. Newly allocated. */
char *removal_objection(const Removal *m, const char **ret_code);

/* Why the plan is not the one that was asked for by its digest, or NULL. Newly allocated. */
char *removal_stale(const Removal *m);

/* From a held slot on: plan, object or go. */
int removal_run_held(Removal *m);

/* removal/ending.c. Each tells and writes down the ending, and returns 0. */
int removal_end(Removal *m, Outcome outcome, const char *code, const char *message, const char *remedy);
int removal_end_unwritable(Removal *m, int error);
int removal_go_back(Removal *m, const char *code, const char *reason);

/* After the end: has the hooks told of it, and returns `result`. Nobody waits for them, and nothing depends on them any more: the journal has what
 * becomes of them. */
int removal_tell_hooks(Removal *m, HookPhase phase, int result);
int removal_go_forward(Removal *m);

/* removal/restore.c. From the newest removal of the card on record, whose other slots are the request's from then on. */
int restoration_plan(Request *request, Plan **ret);

/* removal/ending.c. Of the plan's first blocker, or NULL. */
const char *removal_first_remedy(const Removal *m);

/* A write that an earlier worker left behind is under way still (why): back, as far as that goes, or stuck where there is no way back. */
int removal_stop_behind(Removal *m, const char *why);

/* removal/restore.c: goes on with a restoration whose plan and journal are there. `back`: no further than it is. */
int restoration_resume(Removal *m, bool back);

/* removal/compare.c. Writes down how everything is, before the first step takes anything away. 0 or a negative errno. */
int removal_picture(Removal *m);

/* At the end: writes down what the card said of itself before, where that came too late for the picture. */
void removal_card(Removal *m);

/* After a way back: compares, lists what is not as it was, and returns what may be said of it ("; everything is as it was before").
 * Newly allocated, or NULL. ret_same (may be NULL): it could be compared, and nothing is listed. */
char *removal_compare(Removal *m, bool *ret_same);

/* After a boot, for one that an earlier boot began: lists what was on the card and is not as it was, and returns how its slots are ("; the card in slot 2 is there and has
 * power; ..."). Newly allocated, or NULL. Writes to the record, and changes nothing else. */
char *removal_compare_boot(Removal *m);

/* After a restoration: the same with what its removal wrote down before it took the card down ("; everything is as it was before
 * that"). */
char *restoration_compare(Removal *m);

/* worker/tell.c */
void tell_state(Removal *m, const char *state);
void tell_plan(Removal *m);
void tell_target(Removal *m);
void tell_waiting(Removal *m);
void tell_led(Removal *m, LedState state);      /* the state we mean and what the slot really shows */
void tell_end(Removal *m, Outcome outcome, const char *code, const char *message, json_object *remedy);
void tell_unaudited(Removal *m, const char *why);
void tell_said(void *removal, const char *line); /* library_listener_t */
EngineListener tell_listener(Removal *m);
StepRun tell_step_run(Removal *m);
