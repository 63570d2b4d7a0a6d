/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/types.h>

#include "base/json.h"

/* What a block device is made of, down to what is made of no other. */
typedef struct BlockGround {
        bool card;              /* a part of it is below one of the card's functions, or in a region of its memory */
        bool loop;              /* a loop device is in it: anybody at the console sets one up, of a file with whatever content he likes, and what lies
                                 * on it is made by itself then (a volume, a partition) */
        json_object *names;     /* block_ground_loops()'s own */
} BlockGround;

/* `card`: a plan's ("bdf" or "nmem", and its "endpoints"), with the names that they have now; NULL: nobody's. Reads sysfs only. 0, or a negative
 * errno where it cannot be seen, as of a device that has gone. */
int block_ground(dev_t dev, json_object *card, BlockGround *ret);

/* Which loop devices are in it, or it is itself: an array of names ("loop0"), owned by the caller. */
int block_ground_loops(dev_t dev, json_object **ret);
