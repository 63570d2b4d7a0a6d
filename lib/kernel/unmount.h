/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "kernel/mounts.h"

/* Takes away all mounts of it in all mount namespaces that are not busy, the ones made last first. 0 whatever is left: ask
 * mounts_find(). *ret_left: [{"ns", "pid", "target", "error", "why"}], what the kernel said about each that it did not take. */
int fs_unmount(const MountedFs *fs, uint64_t timeout_usec, json_object **ret_left);
