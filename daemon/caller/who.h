/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/json.h"
#include "buses.h"

/* Who sends a message, and how much he may be told in a while (quota.h). The bus is not waited for in the loop: it is asked once per connection,
 * and the calls of a connection that is not known yet are kept until it has answered. (A connection's unique name is never given to another
 * one.) Of those that came without a bus the kernel has told it already. */

typedef struct Who Who;

/* A call from a known sender. `by` is a request's: {uid, pid, comm}; the uid is the bus's word and safe to decide by, pid and comm are
 * for people. Answers the call, or returns a negative errno, with `reterr` set where there is more to say. */
typedef int (*who_then_t)(void *userdata, sd_bus_message *call, json_object *by, sd_bus_error *reterr);

/* Does `then` now or as soon as the sender is known. Returns as a handler of sd-bus does; Busy where too many calls wait already. */
int who_asks(Who *w, sd_bus_message *call, who_then_t then, sd_bus_error *reterr);

/* For a call that is answered at once, with about so many bytes: 0, or Busy where its sender has been told too much. A sender who is not known yet is told
 * little, and it counts as soon as he is. */
int who_pays(Who *w, sd_bus_message *call, size_t bytes, sd_bus_error *reterr);

/* May this user have a reply of about so many bytes to the call? 0, or Busy in `reterr`. Whoever runs the workers may. */
int who_charge(Who *w, sd_bus_message *call, uint32_t uid, size_t bytes, sd_bus_error *reterr);

/* Root, or whoever runs the workers (run_owner(): a developer in a test). Not the daemon's own user. */
bool who_is_privileged(json_object *by);
bool who_is_privileged_uid(uint32_t uid);

/* `userdata` is what each `then` gets; both outlive it. */
int who_new(Buses *buses, void *userdata, Who **ret);
void who_free(Who *w); /* calls that wait are not answered any more */

/* Whose connection is it? False: it has not called, or not for long. */
bool who_knows(const Who *w, const char *name, uint32_t *ret_uid);

/* The bus is another one now, which gives the names of connections anew. */
void who_forget(Who *w);
