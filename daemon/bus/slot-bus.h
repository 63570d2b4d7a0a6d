/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "objects.h"

#define SLOT_INTERFACE "org.saferemove1.Slot"

int slot_bus_register(Bus *b, sd_bus *bus);
int slot_bus_append_all(const Bus *b, sd_bus_message *reply); /* for GetManagedObjects */

/* The manager's listener; `bus` is a Bus. An object comes and goes, it must be in the manager's list in both; and its properties change. */
void slot_bus_added(ManagedSlot *s, void *bus);
void slot_bus_removed(ManagedSlot *s, void *bus);
void slot_bus_changed(const ManagedSlot *s, const char *const *properties, void *bus);
