/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "kernel/mounts.h"

/* Is that a name of a namespace ("net:[4026532600]" of nsfs) that may go with what it is mounted on? Whoever is in the namespace keeps
 * it. What is in the memory of a mount or IPC namespace would be lost with its name. */
bool mount_is_name(const char *type, const char *root);

/* Takes away all mounts of it in all mount namespaces that are not busy, the ones made last first, and such
 * names on them. Who makes mounts there as fast as they go makes it neither endless nor longer than half the timeout, but for one umount(2)
 * that hangs; what there was no time for is left with ETIME. 0 whatever is left: ask mounts_find(). *ret_left: [{"ns", "pid", "target", "error", "why"}], what the kernel said about each that it did not take. */
int fs_unmount(const MountedFs *fs, uint64_t timeout_usec, json_object **ret_left);
