/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "step/step.h"

/* A region that is made anew may get other addresses: another card's stands in its place by now. Then its dax device begins elsewhere and
 * its memory blocks have other numbers, and the old ones may be somebody else's. What belongs to it is told by its place in the region. */

typedef struct RegionMove {
        uint64_t from, size, to;        /* addresses, in bytes */
} RegionMove;

typedef struct RegionMoves {
        RegionMove *items;
        size_t n;
        uint64_t block_size;            /* of a memory block; 0: the machine has none */
} RegionMoves;

void region_moves_done(RegionMoves *m);

/* Of all regions that the steps are about: those which are there, complete (region_find()), and elsewhere than planned. `first`: than they
 * were when the removal was planned, which a restoration's plan has as "moved_from". What cannot be read has not moved: whoever
 * writes there asks again (region_check()). 0 or -ENOMEM; *ret needs region_moves_done(). */
int region_moves_find(const Step *steps, size_t n_steps, bool first, RegionMoves *ret);

/* The address as it is now. */
uint64_t region_moves_address(const RegionMoves *m, uint64_t address);

/* [[first, last, ...], ...] with the numbers of today, in their order: one that has moved in pieces is as many. A new reference. */
json_object *region_moves_runs(const RegionMoves *m, json_object *runs);

/* A step's arguments, what it noted of memory, or what a card says of itself, with the addresses ("start", "data_start") and numbers of blocks ("blocks", "offline",
 * "own") of today; a region's own that has moved has "moved_from" beside it. A new reference, to the same object where nothing has moved. */
json_object *region_moves_apply(const RegionMoves *m, json_object *o);
