/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "objects.h"

/* Locate() of the manager, whose slot a worker finds by the name of a card or of anything on it, and of a slot. Each is a who_then_t. */
int locate_bus_target(void *bus, sd_bus_message *call, json_object *by, sd_bus_error *error);
int locate_bus_slot(void *bus, sd_bus_message *call, json_object *by, sd_bus_error *error);

/* The manager's word about it. */
void locate_bus_answered(void *asker, const ManagedSlot *s, const char *code, const char *message, void *bus);
