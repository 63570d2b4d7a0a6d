/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/json.h"

/* What a unit of the system manager says itself of a removal, in [X-SafeRemove] of its file and drop-ins (safe-remove.policy(5)): a rule as in
 * holders/holder-rule.h, borrowed, or NULL where it says nothing, or where no system manager listens. What cannot be found out is a rule that
 * refuses: the unit may have said so.
 *
 * The manager is asked for the names of the files once for each unit of this process's life; where it does not answer, not again, and where it was slow before it gets less time. */
json_object *declaration_of(const char *unit);

/* May any unit, one that does not run too, say "refuse" or "freeze", which counts for who only has memory on a card as well? Whoever is
 * seen later than the plan was made may be of such a unit. Its files on the disk are looked at, in all folders of the system manager, once in this process's
 * life, by a process of its own: where a later file says something else that is found out when somebody of the unit is seen. True also where the manager or
 * a file does not answer in a moment, and where something cannot be read. */
bool declarations_about_memory(void);

/* The same of the files in these folders (array of paths), each time, and however long they take. True of no folders. */
bool declarations_in(json_object *folders);

/* The rule that these files come to (array of paths, later wins), the caller's. NULL where they say nothing, and without memory. */
json_object *declaration_read(const char *unit, json_object *files);
