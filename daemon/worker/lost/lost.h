/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "vanished.h"

/* What is still in use of a card that is gone, or has no power, without having been removed: memory by block and zone, file systems by device
 * and mount point, block devices, processes. `scope` is what the card had when it was seen (engine/last-seen.h). A line each, and nothing in
 * them that /proc would not show to everybody: they go to the journal and to whoever listens. New reference; empty where nothing is
 * found. */
json_object *lost_lines(const Topology *t, json_object *scope);

/* By the slot's registers the card is up: there, with power and link, and the kernel has found it (it turns the power indicator on after that). A slot
 * without that indicator does not say so. */
bool lost_shows_card_up(const SlotRegisters *r);

/* Adds to what was lost the cards beside it that had memory together with it: of that nothing is left either. */
void lost_add_peers(json_object *scope, json_object *lines);

/* The same of block devices and file systems alone, for every look: nobody looks at processes. */
json_object *lost_uses(const Topology *t, json_object *scope);

/* These addresses are a region's by now, and all its cards are there: nothing at them is of a card that is gone. Whoever makes a region gets none at
 * which memory of the kernel's own is left (drivers/cxl/core/region.c:alloc_hpa), and one that the kernel assembles from committed decoders leads
 * to what is there. */
bool lost_is_taken(const Topology *t, json_object *range);

/* The scope of a card that nobody saw in this slot, made of what the machine itself tells: memory that is the kernel's, with no device behind
 * it, in a window of addresses that leads to the slot; and block devices that were in it. `known` are scopes that such memory may belong to as
 * well. New reference; NULL where there is none, or the slot cannot be where it came from. *again: a second look, for all slots, which is made
 * where the first one finds such memory (NULL before that): what is not so in both is no loss. The caller frees it. */
json_object *lost_without_record(const Topology *t, const Slot *slot, json_object *known, const VanishedList *vanished, Topology **again);

/* Those of no slot, and those whose slot has another card: [{"device", "slot": "4" or null, "lost": lines}], where they are not many; NULL where
 * there are none. New reference. */
json_object *lost_vanished(const VanishedList *l);
