/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/util.h"

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
