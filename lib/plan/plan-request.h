/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "kernel/cxl/library.h"
#include "plan/policy.h"
#include "topology/topology.h"

/* What a plan is asked for, by whom, and what else is going on. Nothing in it is owned. */
typedef struct PlanRequest {
        const char *target;     /* as the user wrote it */
        json_object *targets;   /* of several cards: each of them, an array of strings; else NULL */
        const Slot *const *others; size_t n_others;     /* more slots whose cards go in the same removal */
        const Slot *const *under_way; size_t n_under_way; /* slots of other removals that have begun: their cards go as well */
        json_object *writers;   /* what earlier removals of these slots have left behind in the kernel, an array of {"removal", "light",
                                 * "unread" (its record cannot be read), "text", "remedy"}; or NULL */
        json_object *unread;    /* removals of these slots, of those inside of them and around them, whose records cannot be read, an array of
                                 * {"id" (NULL: nobody knows which there are), "slot" (NULL: it may be of any), "why", "newer", "ended"}; or NULL */
        json_object *inhibitors; /* who does not want cards to go (plan/find/inhibitor.h), an array; or NULL */
        json_object *libraries; /* what libcxl, libdaxctl and libndctl see (kernel/cxl/libraries.h); NULL: they were not asked */
        json_object *said_before; /* what they had against an earlier look (kernel/cxl/testimony.h): it stands until they take it back; or NULL */
        bool (*declared)(void); /* may a unit say something of who only has memory on the card (plan/declaration.h)? NULL: none does */
        const char *trigger;    /* "command", "button", "uevent" */
        const Policy *policy;
        json_object *policy_warnings; /* array of strings, may be NULL */
        int caller_session;     /* getsid() of who asks: nothing of that session is ended; 0 for a button */
        const char *state_dir;  /* where removals are written down: must not lie on the card */
        LibraryCall **ask_card; /* where a question to the card's libraries goes that the planner puts while it looks at everything else
                                 * (kernel/cxl/card-state.h), unless one is there; NULL: nobody asks */
} PlanRequest;
