/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/types.h>

#include "base/util.h"

/* What the kernel says of device-mapper's devices: the targets that each is made of. */
typedef struct DmTarget {
        dev_t dev;              /* of the mapping */
        char *type;             /* "linear", "crypt", ... */
        char *params;           /* of its table; NULL where nobody asks for it, and always for those that may hold a key */
        char *status;           /* how its parts are ("raid", "multipath", "mirror"); else NULL */
} DmTarget;

typedef struct DmTargets {
        DmTarget *items;
        size_t n, a;
} DmTargets;

void dm_targets_done(DmTargets *l);

#define _cleanup_dm_targets_ _cleanup_(dm_targets_done)

/* The targets of these mappings, in the order of their tables; one that is gone meanwhile has none. Nothing is written to the disk for
 * it: a table is told without a flush, and so are the kinds of status that are asked for (drivers/md/dm-ioctl.c:retrieve_status).
 * -ENOENT: there is no /dev/mapper/control here to ask; -EPERM, -EACCES: not for us; -EINPROGRESS: the kernel did not say in time. */
int dm_targets_read(const dev_t *devs, size_t n, uint64_t timeout_usec, DmTargets *ret);

/* The same from text, a line for each half of a target: "252:0 table raid raid1 3 0 ..." and then "252:0 status raid1 2 AA ...". */
int dm_targets_parse(const char *text, DmTargets *ret);
