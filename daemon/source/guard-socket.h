/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/util.h"

/* The guard's sockets in /run/safe-remove (SOCK_SEQPACKET, one JSON object a message). Their mode and the one of their folder say who gets
 * as far as connecting; who gets in is looked at once more: root, the guard's own user, and the guard's own group where that is not
 * root's. So Group= in both units is all that a daemon with a user of its own needs. */

#define GUARD_SOCKET_PEERS "guard"      /* presses, and what becomes of held slots: guard/peers.h */
#define GUARD_SOCKET_WORKERS "workers"  /* processes that look and remove: guard/workers.h */

/* A connection that never blocks. Negative errno, of which -ENOENT, -ECONNREFUSED and -EAGAIN tell of a guard that is not there just now. */
int guard_connect(const char *name);

/* The socket that listens, under a name that was somebody else's before. */
int guard_listen(const char *name, int backlog);

/* Somebody who may come in; -EPERM where it was somebody else, who is gone again. */
int guard_accept(int listener);
