/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "objects.h"

/* The manager's methods and properties about who does not want cards to go (manager/inhibitors.h). */
int inhibit_bus_take(void *bus, sd_bus_message *call, json_object *by, sd_bus_error *error);
int inhibit_bus_list(void *bus, sd_bus_message *call, json_object *by, sd_bus_error *error);
size_t inhibit_bus_length(const Bus *b); /* of what its properties say, bytes */
int inhibit_bus_get(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply, void *userdata,
                    sd_bus_error *error);
void inhibit_bus_changed(void *bus);
