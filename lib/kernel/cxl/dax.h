/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/types.h>

#include "base/util.h"

#define DAX_DEVICES "/sys/bus/dax/devices"

/* Bytes, physical. */
typedef struct DaxRange {
        uint64_t start, size;
} DaxRange;

/* A dax device as libdaxctl sees it. */
typedef struct DaxSeen {
        char *name;
        uint64_t size;          /* of all ranges together, 0: it has no memory */
        uint64_t align;         /* bytes, where it is another one than its region's; else 0 */
        DaxRange *ranges;       /* in the order of the device, which need not be that of the addresses */
        size_t n_ranges;
        bool unread;            /* what was read of the ranges does not fit together, or the folder says otherwise: there are none here */
} DaxSeen;

typedef struct DaxList {
        DaxSeen *items;
        size_t n, allocated;
} DaxList;

void dax_list_done(DaxList *l);

/* All of them, by one walk of libdaxctl (0.13 ms), and those whose node is hidden, which it does not see. What it leaves out otherwise is not
 * there: the folder says what there is. 0 or -ENOMEM; *ret needs dax_list_done(). */
int dax_list_read(DaxList *ret);

const DaxSeen *dax_list_find(const DaxList *l, const char *name); /* NULL: it was left out */

/* The dax device whose first range begins at a physical address: the name a plan wrote down may belong to another device once regions
 * have come and gone. -ENODEV when none does; another error where one cannot be asked that may be it. */
int dax_find(uint64_t start, char **ret);

/* Is that the number of a dax device's character device? */
bool dax_has_number(dev_t chardev);
