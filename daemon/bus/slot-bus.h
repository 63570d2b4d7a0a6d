/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "daemon/manager/slot.h"

#define SLOT_PATH "/org/saferemove1/slot"
#define SLOT_INTERFACE "org.saferemove1.Slot"

int slot_bus_register(Manager *m, sd_bus *bus);
int slot_bus_append_all(const Manager *m, sd_bus_message *reply); /* for GetManagedObjects */

/* Object comes and goes; it must be in the manager's list in both. */
void slot_bus_added(ManagedSlot *s);
void slot_bus_removed(ManagedSlot *s);

/* NULL-terminated names of properties. */
void slot_bus_changed(ManagedSlot *s, const char *const *properties);
