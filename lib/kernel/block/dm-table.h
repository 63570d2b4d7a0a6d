/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/util.h"

/* Device-mapper tables as `dmsetup table` prints them: "0 2048 linear 259:0 4096", a line for each target. They name devices by
 * number, and a device that came back may have another one. */

/* The same table with every MAJ:MIN put through translate(): it returns a newly allocated word, or NULL for leaving that one as
 * it is. NULL: out of memory. */
char *dm_table_translate(const char *table, char *(*translate)(const char *number, void *userdata), void *userdata);

/* "NAME,UUID,,FLAGS,TABLE" for `dmsetup create --concise`, with what would end a field escaped. */
char *dm_table_concise(const char *name, const char *uuid, bool read_only, const char *table);

/* Can a mapping with a target of this type be taken down and made again, of LVM by its own tool, of others by the table? */
typedef enum DmFate {
        DM_COMES_BACK,
        DM_NEEDS_KEY,           /* crypt: its key is shown to nobody, zeros are in its place or the name of one that cryptsetup took
                                 * out of the keyring again */
        DM_NOT_KNOWN,           /* whether is not known: a kind that this version has no idea of; or known that not as it is */
} DmFate;

DmFate dm_target_fate(const char *type, bool volume);

/* Why what a target of such a kind has would not be there again, by its parameters (NULL: they are not known): for a person, static; NULL
 * where it would. */
const char *dm_target_not_again(const char *type, const char *params);

/* The worst of a table's targets; *ret_what, newly allocated or NULL, is the first that is not known, with the reason where there is one. */
DmFate dm_table_fate(const char *table, bool volume, char **ret_what);
