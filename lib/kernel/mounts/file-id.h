/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/json.h"

/* Which file it is, whatever leads to it: for whoever goes back to one by the path that the kernel told of it, through folders that
 * may be anybody's. */

/* An O_PATH descriptor of what the path leads to, or a negative errno. -ELOOP: a link is on the way, or at its end, or what should be a folder is a
 * file. The kernel tells paths without links, so whoever has a folder on the way has made that since, and it leads to a place that nobody meant.
 * Nothing is opened but the folders: no device is touched, and no program is waited for that serves one, unless a folder is its. */
int path_open_straight(const char *path);

/* The same from a folder on, whether the path begins with a slash or not. */
int path_open_straight_at(int folder, const char *path);

/* {"inode", "handle", "born"}: what stays the same when the file system is mounted anew, under another number too. A handle is how the file
 * system itself finds the file again (name_to_handle_at(2)): it has a number that tells it from the one that had the inode before it. The
 * time of its birth is nobody's to choose. Either may be missing, where the file system has none. Where each mount numbers the files anew
 * (FAT, exFAT, FUSE): {"size", "born"}. Newly allocated; NULL: it cannot be asked. An O_PATH descriptor will do. */
json_object *file_id(int fd);

/* Is it that one? An inode's number alone says nothing: it is given to the next file that is made. */
bool file_id_same(json_object *noted, json_object *now);

/* Can what was noted tell the file from others, or is there nothing on its file system that would? `now`: what there is, or NULL. An
 * earlier version noted numbers of FAT and FUSE too. */
bool file_id_tells(json_object *noted, json_object *now);

/* Why not, for a person. */
#define FILE_ID_TELLS_NOTHING "which file it is cannot be told on this file system"

/* Opens what an O_PATH descriptor is of: that very file. */
int path_reopen(int fd, int flags);
