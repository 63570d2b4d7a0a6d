/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/json.h"

/* What a unit of the system manager says itself of a removal, in [X-SafeRemove] of its file and drop-ins (safe-remove.policy(5)): a rule as in
 * holders/holder-rule.h, borrowed, or NULL where it says nothing, or where no system manager listens. What cannot be found out is a rule that
 * refuses: the unit may have said so.
 *
 * The manager is asked for the names of the files once for each unit of this process's life; where it does not answer, not again. */
json_object *declaration_of(const char *unit);

/* The rule that these files come to (array of paths, later wins), the caller's. NULL where they say nothing, and without memory. */
json_object *declaration_read(const char *unit, json_object *files);
