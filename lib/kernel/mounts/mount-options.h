/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/util.h"

/* The options of mountinfo as the calls of the new mount interface want them. */

/* "rw,nosuid,relatime" of one mount: MOUNT_ATTR_ bits for fsmount(). *ret_unknown: the first word that is none, borrowed from
 * nowhere (newly allocated), or NULL. */
int mount_attributes(const char *options, uint64_t *ret, char **ret_unknown);

/* Is a word, as it stands there, among those of a mount or of its super block? NULL has none. */
bool mount_has_option(const char *options, const char *option);

/* The path in an option that names a device beside the file system's own: its log, journal or real-time section
 * (fs/xfs/xfs_super.c:xfs_fs_show_options, fs/reiserfs/super.c:show_options); or NULL. */
const char *mount_section(const char *option);

/* "shared:1 master:2": MS_SHARED, MS_SLAVE, MS_PRIVATE or MS_UNBINDABLE. A mount that is both is taken for shared. */
unsigned long mount_propagation(const char *fields);

/* The group of mounts that it shares what is mounted below with ("shared:"), or whose follower it is ("master:"); 0: none. */
uint64_t mount_group(const char *fields, const char *word);

/* Is what is taken from a mount with our fields taken from one with theirs as well, locked or not (fs/pnode.c:propagate_mount_unlock)? NULL: no
 * mount at all. */
bool mount_follows(const char *theirs, const char *ours);

/* One word of the super options: key and value (NULL for a flag), in place. *ret_skip: nothing that can be given to the kernel
 * ("rw"; "seclabel", which SELinux shows and does not accept; "attr2", which XFS shows and complains about; a subvolume, which is the
 * mount's root). */
void super_option_split(char *word, const char **ret_key, const char **ret_value, bool *ret_skip);

/* The folders an overlay is made of (lower, data only, upper and work), from the options of its super block as mountinfo has
 * them, escapes undone. They are as they were said when it was mounted: relative to a folder nobody knows any more, when
 * somebody said them so. */
typedef struct OverlayFolders {
        char **paths;
        size_t n_paths, n_allocated;
} OverlayFolders;

void overlay_folders_done(OverlayFolders *f);

/* Was one of them said relative to a folder that nobody knows any more? Then it cannot be mounted again; true where there is no memory. */
bool overlay_is_relative(const char *super_options);

/* Adds them. -ENOMEM. */
int overlay_folders_parse(const char *super_options, OverlayFolders *f);
