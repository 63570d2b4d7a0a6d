/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "kernel/mounts/mounts.h"

/* Takes away all mounts of it in all mount namespaces that are not busy, the ones made last first, and such
 * names on them. In namespaces that anybody may have made each user has his share of the time, round after round: who has a hundred thousand
 * there, or makes new ones as fast as they go, keeps nobody else's from being taken. He makes it neither endless nor longer than 11 s or half the
 * timeout, but for one umount(2) that hangs; what there was no time for is left with ETIME. 0 whatever is left: ask mounts_find().
 * *ret_left: [{"ns", "pid", "foreign", "id", "target", "error", "why"}], what the kernel said about those that it did not take, a thousand of them at most. */
int fs_unmount(const MountedFs *fs, uint64_t timeout_usec, json_object **ret_left);

/* The same in those namespaces alone that anybody may have made: what is locked there shows (EINVAL), and nothing else has gone yet. Where the way
 * to a mount does not answer, all that are left there are, with ETIME; it is never -EINPROGRESS. */
int fs_unmount_foreign(const MountedFs *fs, uint64_t timeout_usec, json_object **ret_left);
