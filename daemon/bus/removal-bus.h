/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "objects.h"

#define REMOVAL_INTERFACE "org.saferemove1.Removal"

int removal_bus_register(Bus *b, sd_bus *bus);
int removal_bus_append_all(const Bus *b, sd_bus_message *reply); /* for GetManagedObjects */

/* The removal that the bus shows at this path; NULL where there is none. */
Removal *removal_bus_at(const Manager *m, const char *path);

/* The request for a page of its plan, but for which page; or an error says that it has ended long ago. */
int removal_bus_page_request(const Bus *b, sd_bus_message *call, json_object *by, json_object **ret, sd_bus_error *error);

/* Objects, properties, the signals Completed, PrepareForRemoval and Event. Its userdata is the Bus. */
extern const RemovalListener removal_bus_listener;
