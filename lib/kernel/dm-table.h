/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/util.h"

/* Device-mapper tables as `dmsetup table` prints them: "0 2048 linear 259:0 4096", a line for each target. They name devices by
 * number, and a device that came back may have another one. */

/* The same table with every MAJ:MIN put through translate(): it returns a newly allocated word, or NULL for leaving that one as
 * it is. NULL: out of memory. */
char *dm_table_translate(const char *table, char *(*translate)(const char *number, void *userdata), void *userdata);

/* Does it have a target whose key is shown to nobody: crypt, with zeros in its place or the name of one that cryptsetup took out of
 * the keyring again? */
bool dm_table_hides_key(const char *table);

/* "NAME,UUID,,FLAGS,TABLE" for `dmsetup create --concise`, with what would end a field escaped. */
char *dm_table_concise(const char *name, const char *uuid, bool read_only, const char *table);
