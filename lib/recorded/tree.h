/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/util.h"

/* A recorded machine's files in a folder of ours. The recording may come from anybody: no path and no link in it leads out of that folder
 * (openat2(2) with RESOLVE_IN_ROOT), and there is an end to how much of it there is. */
typedef struct Tree {
        int top;                /* of the folder; borrowed */
        size_t entries;         /* so far */
        uint64_t bytes;
        bool unlimited;         /* it comes from ourselves */
        unsigned includes;      /* files that were read as a part of the recording */
} Tree;

/* The folder of that path ("/sys/bus") in it, made where it is not there: a descriptor, or a negative errno. */
int tree_folder(const Tree *t, const char *path);

/* What a program in DRESS_PROGRAMS (recorded/dress.h) may be: no recording brings another one, which would be run. */
#define TREE_PROGRAM "/usr/bin/true"

/* Puts something there in the place of what there is, links and folders on the way included. -EINVAL: a path that no recording has ("..", or elsewhere
 * than in /sys, /proc, /dev, /etc/safe-remove, /var/lib/safe-remove/removals), or what leads to what is the simulating machine's own. -EFBIG: there is too much of it. */
int tree_make_folder(Tree *t, const char *path);
int tree_make_link(Tree *t, const char *path, const char *target);
int tree_make_file(Tree *t, const char *path, const void *data, size_t length);

/* Overwrites bytes within a file that is there. */
int tree_patch(Tree *t, const char *path, uint64_t offset, const void *data, size_t length);

/* A file, a link, or a folder with all that is in it. */
int tree_take_away(Tree *t, const char *path);

/* Copies a folder that was unpacked before: regular files, folders and links of it, nothing else. -EBADMSG: it is none. *ret_where is newly allocated
 * where one file is to blame. */
int tree_copy(Tree *t, int folder, char **ret_where);
