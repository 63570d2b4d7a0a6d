/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/json.h"
#include "topology/topology.h"

/* Writes down what each slot's card has where that has changed, and asks about cards that are gone: where something of one is left, its
 * slot in the document gets "left", the first answer that says so in words, and "lost", all that was lost (daemon/worker-lost.h); where nothing is left, it is forgotten. */
void last_seen_update(const Topology *t, json_object *topology);

/* What is left of a card that is gone from that slot, in words: the first probe that does not hold, and its answer. NULL where nothing is, or
 * nobody saw one since the last that was proved gone. Newly allocated. */
char *last_seen_left(const char *key);

/* What the slot is called in the state directory (engine/last-seen.h). Borrowed. */
const char *last_seen_key(const char *port, const char *name);
