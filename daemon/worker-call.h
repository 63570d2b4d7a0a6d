/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "manager.h"

/* Has a worker answer a method call: its one line becomes the call's result, an `error` line its error. `what` ("The plan") stays
 * the caller's and is for messages. On failure the call is not answered and `reterr` may be set. Pending calls are dropped by
 * worker_calls_free(). */
int worker_call_start(Manager *m, sd_bus_message *call, const char *verb, const char *what, json_object *request,
                sd_bus_error *reterr);

void worker_calls_free(Manager *m);
