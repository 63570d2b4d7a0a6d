/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/json.h"

/* Slots as people see them; as client_objects() gives them. */

/* Adds "ram_bytes" and "pmem_bytes" of each slot's card: sizes are not on the slot object, which knows nothing but hardware. */
void slots_add_memory(json_object *slots, json_object *topology);

/* A table with all of each slot that the terminal has room for; where that is not enough, a line a cell. */
void slots_print(json_object *slots);

/* The same with a line a slot in any case: what there is no room for is left out. */
void slots_print_small(json_object *slots);

/* Warnings of slots of which the daemon has said so; `only` NULL: of all. */
void slots_print_stays(json_object *slots, const char *only);

/* Those whose light shows somebody the way; `only` NULL: all. */
void slots_print_located(json_object *slots, const char *only);

/* Of a topology: disks that are gone, and of no slot or of one that has another card by now. */
void slots_print_vanished(json_object *topology);
