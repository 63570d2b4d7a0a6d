/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "recorded/tree.h"

/* Where the recorded machine's own programs (mdadm, dmsetup, lvchange) seem to be, for SAFE_REMOVE_PATH. */
#define DRESS_PROGRAMS "/proc/.programs"

/* Where the /proc of the machine that simulates is, within the recorded one. */
#define DRESS_REAL_PROC ".real"

/* Before the recording: they are all installed, and a recording of a machine without one takes it away. */
int dress_programs(Tree *t);

/* After it: what libcxl, libdaxctl and libndctl want to find of recorded devices. */
int dress_devices(Tree *t);

/* The same, and links to what was not recorded of /proc and says nothing of a machine's processes, swap, file systems and pages. */
int dress_tree(Tree *t);
