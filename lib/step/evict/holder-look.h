/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "holders/holder-rule.h"
#include "holders/protect.h"
#include "step/step.h"

/* Finds the holders of a step's targets, and what the rules say about them. Freezing and ending both use it. */
typedef struct HolderLook {
        HoldTargets targets;
        Protection protection;
        bool force_kill;        /* who holds a target is killed in the end */
        json_object *rules;     /* borrowed from the step's arguments */
        json_object *ranges;    /* array, or NULL: the card's memory whose pages can be pinned (kernel/pages/page-census.h); borrowed */
        json_object *nodes;     /* array of numbers, or NULL: NUMA nodes whose users count too, if a rule is about them; borrowed */
} HolderLook;

void holder_look_done(HolderLook *l);

/* From the arguments "targets", "force_kill", "rules", "ranges" and "nodes". 0, or a negative errno with the reason noted. */
int holder_look_begin(json_object *args, StepRun *run, HolderLook *ret);

/* Everybody who holds a target or certainly has pages of the card pinned, and of those with memory on a node the ones that a rule wants
 * frozen. 0; -EBUSY with the reason and a remedy noted when one of them must not be disturbed; -EAGAIN when not every process could be
 * looked at within the budget. */
int holder_look(const HolderLook *l, StepRun *run, uint64_t budget_usec, Holders **ret);

/* The same look at one of them: 1 when it still does, 0 when it does not (any more); -ENOMEM and others. */
int holder_look_again(const HolderLook *l, const Holder *h);

/* Is SIGKILL the last thing that is done about it? Not to those who have nothing but memory that moves. */
bool holder_is_killed(const HolderLook *l, const Holder *h);

/* Whoever has this number, as a holder that holds nothing: -ESRCH and others. */
int holder_of_process(const HolderLook *l, int pid, Holder *ret);

/* "/mnt/pg, /dev/dax0.0": the names of a step's targets. Newly allocated. */
char *holder_targets_text(json_object *targets);

/* "process 12 (postgres, postgresql@15-main.service)". Newly allocated. */
char *holder_name(const Holder *h);

/* ..., and what it does: "... holds /mnt/pg/base/1 by mapping". */
char *holder_text(const Holder *h);

/* May all processes of this group be held up, as far as protection goes? A group that is gone: yes. */
bool group_is_free(const Protection *p, const char *cgroup);
