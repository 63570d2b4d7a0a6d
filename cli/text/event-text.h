/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/json.h"

/* What an event (docs/PROTOCOL.md, "Worker") says, in one line without slot and removal; newly allocated. */
char *event_text(json_object *event);

/* "power LED off, attention LED off"; NULL values read "unknown". */
char *led_text(const char *power, const char *attention);

/* "message" of an event, a removal or an entry of the history, without the "slot NAME: " in front: the slot is said beside it.
 * NULL without one; owned by the object. */
const char *message_text(json_object *o);

/* "what: more", or "what" alone where there is no more to say (NULL or ""); newly allocated. */
char *text_with(const char *what, const char *more);

/* An id in an event or a property, whether written as a string or as a number; NULL without one. Owned by the object. */
const char *event_removal(json_object *event);
