/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "daemon/manager/manager.h"

/* GetManagedObjects, made here instead of by sd-bus: each caller is known, and has his quota. */
int objects_register(Manager *m, sd_bus *bus);

/* One object of the reply: {oa{sa{sv}}} with the properties that the vtable has. */
int objects_append(sd_bus_message *reply, const char *path, const char *interface, const sd_bus_vtable *vtable, void *userdata);
