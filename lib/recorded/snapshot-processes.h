/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "recorded/emit.h"

/* Of processes: what is mounted in each namespace, by the first process in it that has the namespace's root; those that have a device's node, or a file
 * of a mounted disk other than the root, open or mapped, with that and nothing else of theirs; threads of journals and automounters, by name; and control
 * groups with memory nodes of their own. */
void snapshot_processes(Emit *e);
