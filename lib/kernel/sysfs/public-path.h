/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/id-map.h"
#include "base/util.h"

/* What /proc keeps from users of others' processes: its mount option hidepid=, a number before Linux 5.8 and a word since
 * (fs/proc/root.c:proc_show_options). Who is in the group of gid= is not known here, and sees as little as the others. */
typedef enum ProcHides {
        PROC_HIDES_NOTHING,
        PROC_HIDES_WHAT_THEY_ARE,      /* noaccess: that there is one, and whose, is to be seen */
        PROC_HIDES_THEM,               /* invisible, ptraceable */
} ProcHides;

/* By the options of its super block. A word that is not known is taken for the strictest. */
ProcHides proc_hides(const char *super_options);

/* Are its folders in this kernel's memory or on its disks, so that nobody can keep us there? By its type. */
bool file_system_answers(const char *type);

/* May a user see the name of a file? As far as he could get himself: every folder on the way must be searchable by its mode, for
 * everybody or for him as its owner. (Groups are not asked for, and neither are symbolic links: what cannot be said is not shown.) */
typedef struct PathView {
        uint32_t uid;
        size_t n_looks;         /* folders that were looked at */
        IdMap types;            /* mounts of this process whose file systems answer by themselves */
        bool learned;
        ProcHides hides;        /* once learned */
} PathView;

void path_view_done(PathView *v);

/* By /proc as it is mounted where we are. */
ProcHides path_view_proc_hides(PathView *v);

/* The last part of the path is not looked at. Goes into no file system that somebody's process or another machine serves, and no
 * further than some ten thousand folders altogether: whoever asks must not be kept. */
bool path_view_shows(PathView *v, const char *path, size_t length);
