/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "objects.h"

/* The manager's object: all that is asked of the daemon, but for what one removal is asked. */
int manager_bus_register(Bus *b, sd_bus *bus);

/* Reads "asa{sv}": the request for a plan of those targets with those options, which the worker only answers. */
int manager_bus_read_question(const Bus *b, sd_bus_message *call, json_object *by, json_object **ret, sd_bus_error *error);

/* What comes of a removal that was asked for; `asker` is the call, which is answered and given up. */
void manager_bus_answered(void *asker, const char *path, const char *code, const char *message, void *bus);
