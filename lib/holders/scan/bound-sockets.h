/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/id-map.h"
#include "holders/holder.h"

/* Local sockets that are bound to a path on a target, or were accepted by such a one: each keeps its file system from being
 * unmounted, and stat() of the descriptor says nothing of it. The kernel tells them by their inode (sock_diag, a network
 * namespace at a time). */
typedef struct BoundSocket {
        uint64_t inode;
        size_t target;
        char *path;             /* as it was bound, or NULL */
} BoundSocket;

typedef struct BoundSockets {
        BoundSocket *items;     size_t n_items, n_allocated;
        IdMap by_inode;
        IdMap namespaces;       /* that were asked */
} BoundSockets;

void bound_sockets_done(BoundSockets *b);
/* Among those that were learnt; or NULL. */
const BoundSocket *bound_socket(const BoundSockets *b, uint64_t inode);

/* Adds those of the network namespace of the process whose /proc folder is open, unless they are there already. None where the
 * kernel does not tell (no CONFIG_UNIX_DIAG). */
int bound_sockets_learn(BoundSockets *b, const HoldTargets *targets, int dirfd);

/* One message's attributes behind struct unix_diag_msg: 1 with *ret filled in (its path belongs to the caller) when it is
 * bound on a target, else 0. -EBADMSG on rubbish. */
int bound_socket_parse(const void *data, size_t size, const HoldTargets *targets, BoundSocket *ret);
