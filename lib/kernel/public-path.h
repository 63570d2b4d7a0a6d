/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/id-map.h"
#include "base/util.h"

/* May a user see the name of a file? As far as he could get himself: every folder on the way must be searchable by its mode, for
 * everybody or for him as its owner. (Groups are not asked for, and neither are symbolic links: what cannot be said is not shown.) */
typedef struct PathView {
        uint32_t uid;
        size_t n_looks;         /* folders that were looked at */
        IdMap types;            /* mounts of this process whose file systems answer by themselves */
        bool learned;
} PathView;

void path_view_done(PathView *v);

/* The last part of the path is not looked at. Goes into no file system that somebody's process or another machine serves, and no
 * further than some ten thousand folders altogether: whoever asks must not be kept. */
bool path_view_shows(PathView *v, const char *path, size_t length);
