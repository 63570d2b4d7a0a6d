/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "topology/topology.h"

/* A mount of one file system (`upper`) inside another one (`lower`), both as places in the topology's array. */
typedef struct Nesting {
        const Mount *mount;
        size_t lower, upper;
} Nesting;

/* Does this mount go with the namespace that it is in, since the root of that is on something that `goes` says of its mounts? Its processes
 * are ended then, as users of their own root; unless the namespace is kept without them (topology_ns_kept_by()). */
bool mount_ends(const Topology *t, const Mount *m, bool (*goes)(const Mount *m, void *userdata), void *userdata);

/* Those of which `goes` says both, whatever is in between that stays, but for mounts that end with their namespace, and those of less
 * privileged users, which nobody unmounts one by one (LOCKED_MOUNT); the deeper ones last.
 * The array belongs to the caller. 0 or -ENOMEM. */
int nested_mounts(const Topology *t, bool (*goes)(const Mount *m, void *userdata), void *userdata, Nesting **ret, size_t *ret_n);
