/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "vanished.h"

/* Writes down what each slot's card has where that has changed, and asks about cards that are gone: where something of one is left, its
 * slot in the document gets "left", the first answer that says so in words, and "lost", all that was lost (daemon/worker/lost/lost.h); where nothing is left, it is forgotten. What is gone and of no slot is
 * the document's "vanished". */
void last_seen_update(const Topology *t, json_object *topology);

/* The block devices that are gone and in use, and of which nobody has written down whose they are. 0 or -ENOMEM. */
int last_seen_vanished(const Topology *t, VanishedList *ret);

/* What is left of a card that is gone from that slot, in words: the first probe that does not hold, and its answer. NULL where nothing is, or
 * nobody saw one since the last that was proved gone. Newly allocated. */
char *last_seen_left(const char *key);

/* What was seen last in a slot without a card, and what is left of a card that nobody saw (engine/last-seen.h): a new reference. NULL: nothing, or the
 * slot has a card. A negative errno: something may have been, and cannot be read. */
int last_seen_gone(const Topology *t, const Slot *slot, json_object **ret);

/* What the slot is called in the state directory (engine/last-seen.h). Borrowed. */
const char *last_seen_key(const char *port, const char *name);
