/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/json.h"

/* Is the card that sits there the one the plan was made for? `card` is the plan's: bdf, vendor, device, memdev or nmem, serial, and
 * the same of all its "endpoints", where it has several: somebody may change one disk of a box that stays. Of the cards of several slots
 * only those in `slot` where that is not NULL: the others may have been powered off already. 0,
 * -ENODEV when it is gone, -ESTALE when it is another one; *ret_why says what was found. A null card is nobody's: 0. */
int card_identity_check(json_object *card, const char *slot, char **ret_why);
