/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "plan/scope.h"

/* What a removal that is called off has to bring back, as one look at the machine shows it: each memory block with its zone, devices
 * with their drivers and words, regions, namespaces, volumes, mounts, swap, the slots' state and the machine's policy. Things bear names
 * that outlive being taken down: addresses, serial numbers, paths; not the kernel's own (region0, pmem0), which count on. */

/* {"blocks": [[first, last, "online in zone Movable"], ...], "things": {"dax device at 0x...": ["kmem, state offline, ..."], ...}}, the
 * blocks in the order of their numbers; and "namespaces", of which a mount may be in one. A new reference. */
json_object *picture_of(const Scope *s, const Topology *t);

/* One more thing that a topology knows nothing of, once by its name. */
void picture_add(json_object *picture, const char *name, const char *text);

/* Tells each thing that is another one in `after`, with both, for a person ("memory144 to memory147: offline, and was online in zone
 * Movable"); of very many only the first ones and how many more there are. Returns how many there are. */
typedef void (*picture_told_t)(void *userdata, const char *text);
size_t picture_compare(json_object *before, json_object *after, picture_told_t told, void *userdata);
