/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "daemon/manager/manager.h"

/* The Event signal. Everybody hears counts, states and deadlines; what is said of processes, files and reasons goes to those connections of
 * root's alone that have asked for it (Subscribe), with a destination of its own, and to all of his own socket. */

/* Takes what can be seen by everybody out of the event, and sends both. */
void event_bus_send(Manager *m, json_object *event);

/* The method's answer. */
int event_bus_subscribe(Manager *m, sd_bus_message *call, json_object *by, sd_bus_error *reterr);
