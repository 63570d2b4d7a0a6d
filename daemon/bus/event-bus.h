/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "objects.h"

/* The Event signal. Everybody hears counts, states and deadlines; what is said of processes, files and reasons goes to those connections of
 * root's alone that have asked for it (Subscribe), with a destination of its own, and to all of his own socket. `bus` is a Bus. */

/* Takes what can be seen by everybody out of the event, and sends both; the second one adds removal and slot. */
void event_bus_told(json_object *event, void *bus);
void event_bus_removal_told(const Removal *r, json_object *event, void *bus);

/* The method's answer. */
int event_bus_subscribe(void *bus, sd_bus_message *call, json_object *by, sd_bus_error *reterr);
