/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "incident.h"

/* The inside of incident_act(). */

/* Adds a line to what was done or left, and takes it over. What is too much is not added: anybody may have any number of mappings and mounts. */
void incident_add(json_object *lines, char *line);

/* Ends who has the memory of that card mapped, where the kernel stands it. memory: it has persistent memory whose files can be mapped. until: monotonic. */
void incident_end_mappers(json_object *scope, bool memory, uint64_t until, IncidentWork *w);
