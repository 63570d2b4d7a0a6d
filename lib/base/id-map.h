/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/util.h"

/* Numbers that the kernel gives (inodes, mounts, devices) and where in a list the thing is that has one: anybody may be able to make as
 * many of them as the kernel allows, so that a walk over the list for each takes for ever. Zeroed before use. */
typedef struct IdMap {
        struct IdMapSlot {
                uint64_t id;
                size_t place;   /* and 1; 0: nothing is here */
        } *slots;
        size_t n, n_slots;
} IdMap;

void id_map_done(IdMap *m);

/* 1; 0: it is there already, and stays what it was; or -ENOMEM. */
int id_map_add(IdMap *m, uint64_t id, size_t place);

bool id_map_find(const IdMap *m, uint64_t id, size_t *ret_place);
