/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "plan/plan.h"

/* Is the card that sits there the one the plan was made for? `card` is the plan's: bdf, vendor, device, memdev or nmem, serial, and
 * the same of all its "endpoints", where it has several: somebody may change one disk of a box that stays. Of the cards of several slots
 * only those in `slot` where that is not NULL: the others may have been powered off already. 0,
 * -ENODEV when it is gone or does not answer, -ESTALE when it is another one; *ret_why says what was found. A null card is nobody's: 0. */
int card_identity_check(json_object *card, const char *slot, char **ret_why);

/* Does any of its functions that the kernel still has not answer? So it is with one that has died, or whose link is down. Waits as long as the kernel may for
 * one that it resets, and takes one of which that cannot be told for alive. */
bool card_is_dead(json_object *card);

/* Has somebody taken the card off its bus? Whatever of it is still there has to be the plan's. */
bool card_is_taken_off(json_object *card);

/* The line to type for a card of the plan that is not as it was: one without its driver, that was taken off the bus, or that has no power; and one
 * that is not in its slot any more, of which nothing can be brought back. `slot` as above. Newly allocated; NULL: none of these shows. */
char *card_remedy(const Plan *plan, const char *slot);

/* The name of a slot of the plan out of which somebody has pulled the card, as the registers of its port tell it (only_slot: that one alone; NULL: any of
 * them). While pciehp is away the kernel keeps all that it knows of such a card, so that nothing else tells. Borrowed from the plan; NULL: none, or no slot
 * of it can say so. */
const char *plan_pulled_slot(const Plan *p, const char *only_slot);
