/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/types.h>

#include "base/util.h"

/* Device nodes that nobody can open anew. The node is renamed, not removed: the kernel takes away with a device only the very
 * node that it made (drivers/base/devtmpfs.c:dev_mynode), so a new one would be left over for ever. For the same reason it
 * does not find a renamed one: fence_sweep() does. Whoever has it open keeps it. */

/* -ESTALE: what has that name is not the device. */
int fence_hide(const char *node, dev_t dev);
int fence_show(const char *node);
bool fence_exists(const char *node);

/* What it is called then; newly allocated. */
char *fence_hidden_name(const char *node);

/* What people call a node, hidden or not: "/dev/dax0.0" of "/dev/.safe-remove.dax0.0"; other paths as they are. Newly allocated. */
char *fence_known_name(const char *path);

/* Removes hidden nodes whose device is gone. */
void fence_sweep(void);
