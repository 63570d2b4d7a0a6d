/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/json.h"
#include "kernel/log/boot-log.h"
#include "topology/topology.h"

/* A block device that is gone and in use all the same: mounted, swap, below a file system, a mapping or an array. */
typedef struct Vanished {
        char *device;           /* "nvme0n1p1"; its number ("259:3") where nothing tells the name */
        dev_t dev;              /* 0: nothing tells the number */
        const Slot *slot;       /* that it was in, where anything tells; borrowed from the topology */
        bool replaced;          /* and another card is there now */
} Vanished;

typedef struct VanishedList {
        const Topology *t;
        Vanished *items;
        size_t n_items, n_allocated;
        json_object *known;     /* the scopes that tell of others */
        BootLog log;            /* read where there is one */
        int unread;             /* why the records could not be asked which of its cards a slot was proved to be without; 0: nothing was */
} VanishedList;

void vanished_done(VanishedList *l);

#define _cleanup_vanished_ _cleanup_(vanished_done)

/* Those that none of the scopes in `known` tells of: nobody has seen their card while they were there. Only devices that root alone can have used
 * are meant: of what anybody may mount none has a device. Which slot it was the kernel's log tells (kernel/log/boot-log.h), of an NVMe disk by its
 * controller, of persistent memory where one slot alone had a memory card that is gone. Nothing is guessed: others' slot is not known. 0, or
 * -ENOMEM; what cannot be found out is not in the list. */
int vanished_find(const Topology *t, json_object *known, VanishedList *ret);

/* Adds what was in this slot to a scope: "block_devices" with what stands on them, "gone" (the names of
 * those whose number nobody knows), "file_systems", and what is gone of others to "gone_before".
 * False: there was nothing. */
bool vanished_add_to_scope(const VanishedList *l, const Slot *slot, json_object *scope);

/* Adds to "gone_before" in the scope what is gone and is not what the slot's card had: it was in another slot, or all that is known of the card's
 * is of another kind. had_none: this one has had no card of which not all was proved gone, and everything is another's, also what is known. */
void vanished_leave_out(const VanishedList *l, const Slot *slot, bool had_none, json_object *scope);

/* Whether the slot, which has no card now, could be where something was of which nothing tells the slot: it had a card at or after that place in
 * the kernel's log (0: at any time), or what is known of the log does not reach back to it. */
bool vanished_may_be_of(const VanishedList *l, const Slot *slot, uint64_t since);

/* What stands on one of them, as a scope: for lost_uses(). New reference. */
json_object *vanished_scope(const VanishedList *l, const Vanished *v);
