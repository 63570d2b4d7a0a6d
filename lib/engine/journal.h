/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "plan/plan.h"

/* What a removal wrote down before touching anything. removals/ID/plan.json is the plan (replaced once at most: a button's
 * removal writes its hold first and the whole plan when it knows it); removals/ID/journal has one JSON record a line, each
 * fdatasync'ed:
 *      start   boot, slot, target, trigger, by, card
 *      do n, done n            forward; "do" stands before the first write of a step, "done" after verify said applied
 *      back    why             from here the direction is backwards, for ever
 *      undo n, undone n, failed n
 *      end     outcome, code, message, remedy
 * A torn last line (power loss while it was written) counts as not written. */
typedef struct Journal {
        int fd;
        char *dir;
        size_t last_do;         /* highest n of a "do", SIZE_MAX when there is none: all below may have touched something */
        bool backwards;
        bool ended;
        bool other_boot;
        char *back_code;        /* why it turned back */
        char *back_why;
        json_object *start;     /* the start record */
} Journal;

void journal_free(Journal *j);
DEFINE_CLEANUP_FUNC(Journal, journal_free)

/* Creates removals/ID with the plan and the start record. -EEXIST when the id is taken. Takes over `start` (target, trigger,
 * by); boot and time are added. */
int journal_create(const char *id, const Plan *plan, json_object *start, Journal **ret);

/* Puts a complete plan in the place of the first one, durably, before its steps are begun. */
int journal_replace_plan(Journal *j, const Plan *plan);

/* Reads one back, for going on with it. The plan is validated as strictly as one from a stranger. */
int journal_open(const char *id, Journal **ret, Plan **ret_plan, char **ret_why);

/* Replays the text of a journal into j: separate so that it can be tested and fuzzed. -EBADMSG on rubbish. */
int journal_replay(Journal *j, const char *text, const char *boot);

int journal_step(Journal *j, const char *ev, size_t n, const char *text);
int journal_back(Journal *j, const char *code, const char *why);
int journal_end(Journal *j, const char *outcome, const char *code, const char *message, json_object *remedy);
