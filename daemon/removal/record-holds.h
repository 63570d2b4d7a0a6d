/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/json.h"

/* What the record of a removal that has not ended wants of the ports it holds, those of slots inside of its slots among them:
 * {"PORT": "claim" or "yield"} (PortWant). Empty where it has no plan that can be read. *ret_finishing: it has begun a step that cannot be
 * undone, and has not turned back; false where that cannot be read. */
json_object *record_holds(uint64_t number, bool *ret_finishing);
