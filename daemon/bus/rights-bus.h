/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "objects.h"

/* What changes something: who is not root is asked about before it is begun. */

/* For root, or once it is allowed. The call is kept as who asks, until manager_bus_answered(). A negative errno, with `error` set: it is not answered. */
int rights_bus_begin(const Bus *b, RemovalRequest request, sd_bus_message *call, sd_bus_error *error);

/* A removal or restoration. The request is a worker's (docs/PROTOCOL.md) with `kind`: a worker says what it takes, polkit says whether that is allowed,
 * and then it is started as that plan and no other. Returns as a handler of sd-bus does. */
int rights_bus_start(Bus *b, sd_bus_message *call, json_object *request, sd_bus_error *reterr);

/* Cancels it and answers the call, now or later: at once for root and for who has asked for it. */
int rights_bus_cancel(Bus *b, Removal *r, sd_bus_message *call, json_object *by, sd_bus_error *reterr);
