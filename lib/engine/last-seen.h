/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/json.h"

/* What a slot's card had when it was last seen there: what the probes are asked about once it is gone without having been removed. Kept for
 * the boot, where no disk can keep it from being written, until all of it is proved gone: run_dir()/cards/KEY.json, one file for each slot:
 *      {"boot", "seen_usec": when, by the monotonic clock, "card", "scope", "lost": where it has gone without having been removed: what it took along}
 * "scope" has "gone" too where nobody saw the card: names of block devices that are not there any more, and in use.
 * Nothing of the state directory is asked for: a look that waited for a disk would not tell of what was lost with that.
 * The key is the port's address, or the slot's name where it has no port. A boot makes everything new: what another one left is nothing. */

/* -ENOENT: nothing is remembered. Other errors: something may be, and cannot be read. */
int last_seen_load(const char *key, json_object **ret);

/* Where, for who tells of that; newly allocated, NULL for a key that is none. */
char *last_seen_path(const char *key);

/* Replaces it. Takes no reference over. -EFBIG: more than anybody would want to have written down. */
int last_seen_store(const char *key, json_object *card, json_object *scope);

/* Adds what was lost with it (lines of text; no reference is taken over). */
int last_seen_add_lost(const char *key, json_object *lost);

/* Adds the number of the incident that its going is on record as (daemon/worker/lost/incidents.h), also where it was retired meanwhile: what is heard of it
 * later is no second one. */
int last_seen_add_incident(const char *key, const char *id);

/* It is gone, and that is proved: by its removal; or nobody removed it, and nothing of it is left. Of the latter it is still known what it had, for who
 * is asked about it a moment later, until another card is seen there. */
void last_seen_forget(const char *key);
void last_seen_retire(const char *key);
int last_seen_load_retired(const char *key, json_object **ret); /* as last_seen_load() */
