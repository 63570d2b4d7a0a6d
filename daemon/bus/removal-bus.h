/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "daemon/removal/removal.h"

#define REMOVAL_PATH "/org/saferemove1/removal"
#define REMOVAL_INTERFACE "org.saferemove1.Removal"

int removal_bus_register(Manager *m, sd_bus *bus);
int removal_bus_append_all(const Manager *m, sd_bus_message *reply); /* for GetManagedObjects */

/* Object comes and goes; it must be in the manager's list in both. */
void removal_bus_added(Removal *r);
void removal_bus_removed(Removal *r);

/* The signal Completed, and PropertiesChanged for the properties with these names (NULL-terminated). */
void removal_bus_completed(Removal *r);
void removal_bus_changed(Removal *r, const char *const *properties);
#define removal_emit(r, ...) removal_bus_changed((r), (const char *const[]) { __VA_ARGS__, NULL })
