/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/json.h"

/* What the record of a removal that has not ended wants of the ports it holds, those of slots inside of its slots among them:
 * {"PORT": "claim" or "yield"} (PortWant). Empty where it has no plan that can be read. */
json_object *record_holds(uint64_t number);

/* Has it begun a step that cannot be undone? False where that cannot be read. */
bool record_is_finishing(uint64_t number);
