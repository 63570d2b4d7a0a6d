/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <systemd/sd-event.h>

#include "base/json.h"
#include "buses.h"

/* May a user who is not root do what he asks for? polkit says so, on the system bus, and is not waited for in the loop. It is asked one action after the
 * other, each with a deadline, of so many calls of a user and of all; where it is not there, hangs, dies or talks rubbish the answer is no. Root, and
 * whoever runs the daemon, is never asked about, and what happens at the slot, or runs already, neither. Callers over the daemon's own socket have no
 * name that polkit could be asked about, and a process number may be somebody else's by then: they are told to come over the bus. */

#define RIGHTS_PREFIX "org.saferemove1." /* of the actions: units/org.saferemove1.policy */

typedef struct Rights Rights;

/* `may`: all of it is allowed. Answers the call as who_then_t does. */
typedef int (*rights_then_t)(void *userdata, sd_bus_message *call, json_object *by, json_object *kept, bool may, sd_bus_error *reterr);

typedef struct RightsWish {
        json_object *actions;  /* their names without the prefix: "remove", "force-kill" */
        json_object *details;  /* {"slot": "2", ...}: what polkit shows and hands to its rules; or NULL */
        json_object *kept;     /* for `then`; or NULL */
        rights_then_t then;
        void *userdata;
        bool look;             /* a no is fine, and comes soon: `then` is called with it. Else the call is refused, which is logged, and `then` is for a yes */
} RightsWish;

/* For a call of somebody who is not privileged. 1, or a negative errno with `reterr` set. `then` may be called within. */
int rights_ask(Rights *r, sd_bus_message *call, json_object *by, const RightsWish *wish, sd_bus_error *reterr);

/* May a user begin one more removal or restoration? How many he begins in a while has a limit, whatever becomes of them: each has a record, and the
 * oldest record goes for it. */
bool rights_may_begin(Rights *r, json_object *by);
void rights_begun(Rights *r, json_object *by); /* he has */

/* Is the call one whose sender polkit can be asked about? If not rights_ask() refuses it at once. */
bool rights_can_ask(const Rights *r, sd_bus_message *call);

/* Both outlive it. */
int rights_new(sd_event *event, Buses *buses, Rights **ret);
void rights_free(Rights *r); /* calls that wait are not answered any more; NULL is fine */
void rights_forget(Rights *r); /* the same: the bus is another one now */
