/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/json.h"

/* How many removals have ended how, and how long their steps took, since the first one: records are deleted in time (removals_prune()), and sums of
 * what is left would go down. STATE_DIR/totals.json, sealed like a certificate, and totals.copy.json with the same text, for the case that the
 * first one is damaged:
 *      {"schema", "since_usec": when it was begun, "counted": ["7", "9"], "removals": [{"kind", "outcome", "code", "count"}],
 *       "steps": [{"step", "direction": "down" or "back", "count", "usec"}]}
 * `counted` are those of the records that were there when it was written which are in its sums. (Not all up to some number: of two removals the one with
 * the lower number may begin last.) So each is counted once: it is in the file, or it is one of those that are added when somebody asks. No record is
 * deleted that is not in the file. */

/* What the files say: an empty one where there is none. -EBADMSG: both are damaged. -EPROTONOSUPPORT: of a later version, whose it stays. */
int totals_read(json_object **ret);

/* Is that removal in it? */
bool totals_has(json_object *totals, uint64_t removal);

/* Takes what has ended since into the files. Waits for nobody: where somebody else is at it, or it fails, the next one does it. */
int totals_count(void);

/* The file's sums and those of what has ended since, for who asks. `damaged` (true) where the files cannot be read: then it is those of the records
 * that are there. */
int totals_load(json_object **ret);
