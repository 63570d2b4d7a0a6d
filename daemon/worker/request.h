/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "kernel/cxl/libraries.h"
#include "plan/planner.h"
#include "io.h"

/* A request that was understood: policy with its options applied, a look at the machine, and the slot that is meant. */
typedef struct Request {
        json_object *doc;       /* owned reference */
        Policy policy;
        json_object *warnings;
        Topology *topology;
        const Slot *slot;       /* points into topology */
        char *slot_name, *port; /* survive a second look */
        const Slot **others;    /* more slots whose cards go in the same removal, or come back with it */
        char **other_names, **other_ports;
        size_t n_others;
        const Slot **under_way; /* of removals that have begun; request_find_under_way() */
        size_t n_under_way;
        json_object *writers;   /* that earlier removals of these slots have left behind; request_find_under_way() */
        bool spares_hooks;      /* a plan for somebody who has no say: no program of the administrator's is run for it */
        bool asks_libraries;    /* a removal's: they look when we look */
        Libraries *libraries;   /* what they were asked with the last look, and nobody has heard yet; or NULL */
        LibraryCall *card;      /* what the planner has asked the card's libraries, and nobody has taken yet; or NULL */
        bool (*cancelled)(void *userdata); /* somebody wants it back while hooks are asked; NULL: nobody can */
        void *userdata;
        json_object *inhibitors; /* plan/find/inhibitor.h; owned, or NULL */
        json_object *unread;    /* removals of these slots whose records cannot be read, by what the daemon says; likewise */
} Request;

void request_done(Request *r);

/* 0, or a negative errno after an `error` line was sent. */
int request_understand(WorkerIo *io, json_object *doc, Request *ret);

/* One that is to be planned: libcxl, libdaxctl and libndctl are asked what they see while we look ourselves. */
int request_understand_removal(WorkerIo *io, json_object *doc, Request *ret);

/* Of a press at the slot of this port: policy and the slots alone, without a look at the rest of the machine. The libraries are asked with the look
 * that comes after the hold. */
int request_understand_press(WorkerIo *io, json_object *doc, const char *port, Request *ret);

/* All but the first. */
void request_drop_others(Request *r);

/* One more slot for the same removal, or restoration. -ENOMEM. */
int request_add_slot(Request *r, const Slot *slot);

/* worker/under-way.c. The slots of other removals that have begun and not ended, by the records: of those that came before this one, and of
 * those that have a plan which they carry out. And the writers of others that live, whether those have ended or not: of these slots they are
 * in the way, others count as under way. A negative errno where the records cannot be listed. */
int request_find_under_way(Request *r);

/* Looks at the machine again and finds the same slots in it, held or not. Whatever the cards were asked before is dropped. */
int request_look_again(Request *r);

/* Borrows from the request. */
PlanRequest request_for_planner(const Request *r);

/* worker/plan.c. That of the removal of the card in the slot; where one got stuck after its point of no return and its card is
 * still in the slot, that of finishing it. */
int request_plan_removal(Request *request, Plan **ret);

