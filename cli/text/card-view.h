/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/json.h"

/* What of a topology (safe-remove/topology/1) belongs to the card in a slot, as safe-remove/show/1. NULL when the
 * topology has no such slot. */
json_object *card_view(json_object *topology, const char *slot);

/* The same for a person. */
void card_view_print(json_object *view);

/* What the card says of itself (docs/PROTOCOL.md, "Card state"), for a person; nothing for NULL. */
void card_state_print(json_object *state, const char *heading);
