/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/types.h>

#include "kernel/block/md.h"

/* Mappings that have the same data more than once, or lead to it in more than one way: what their tables and status say. */

/* The array inside a target "raid": its members are named by what name() makes of their numbers (newly allocated; NULL: out of memory
 * or not known). -EBADMSG for what cannot be understood. */
int dm_raid_parse(const char *params, const char *status, char *(*name)(dev_t dev, void *userdata), void *userdata, MdArray **ret);

/* The name for it that the kernel has now. */
char *dm_member_name(dev_t dev, void *userdata);

/* Is that path of a target "multipath" one that the kernel would use? By its status; false for one that it does not name. */
bool dm_path_works(const char *status, dev_t dev);

/* Has no leg of a target "mirror" failed? By its status ("2 8:0 8:16 8/8 1 AA 1 core", drivers/md/dm-raid1.c:mirror_status). Nothing but that
 * says which leg has all of the data: a mapping that is made again copies from the first. */
bool dm_mirror_is_whole(const char *status);

/* How many paths has a mapping, and how many work that are not among these? */
size_t dm_paths_without(const char *status, const dev_t *devs, size_t n);

/* Has the mapping `block` ("dm-0") with this status of a target "multipath" a path that works and stays when those go? What each device below
 * says of itself counts as well: the map hears of one that is gone or dead with its next request alone. 1, 0; negative errno: nobody knows. */
int dm_multipath_serves(const char *block, const char *status, md_goes_t goes, void *userdata);

/* A table of one target "multipath" or "raid" without these devices: a path is left out, a leg becomes "- -". Newly allocated; NULL when
 * it is of another kind, has none of them, names one as what cannot be left out (a journal), or would have no path left (or out of
 * memory). */
char *dm_table_without(const char *table, const dev_t *devs, size_t n);
