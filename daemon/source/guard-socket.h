/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/types.h>

#include "base/util.h"

/* The guard's sockets in /run/safe-remove (SOCK_SEQPACKET, one JSON object a message). Their mode and the one of their folder say who gets
 * as far as connecting; who gets in is looked at once more: root, the guard's own user, and the guard's own group where that is not
 * root's. So Group= in both units is all that a daemon with a user of its own needs. */

#define GUARD_SOCKET_PEERS "guard"      /* presses, and what becomes of held slots: guard/peers.h */
#define GUARD_SOCKET_WORKERS "workers"  /* processes that look and remove: guard/workers.h */

/* What a worker is started with that is made beforehand, in the place of a verb: as long as a verb may be, for it becomes one. Then it says that it
 * waits, through its standard input, where its verb comes with the stream that it is to have (guard/start.c, worker/ready.c). */
#define READY_WORD "waits-for-a-verb"
#define READY_SAYS "waiting"

/* A connection that never blocks. Negative errno, of which -ENOENT, -ECONNREFUSED and -EAGAIN tell of a guard that is not there just now. */
int guard_connect(const char *name);

/* The socket that listens, under a name that was somebody else's before. */
int guard_listen(const char *name, int backlog);

/* Somebody who may come in; -EPERM where it was somebody else, who is gone again. */
int guard_accept(int listener);

/* A message, with a descriptor that the other side gets too. Never blocks. */
int guard_send(int link, const char *text, int fd);

/* A message of at most `size` bytes, and the descriptor that came with it: *ret_fd is written where there is one. Returns its length, 0 at the
 * end; waits unless `flags` have MSG_DONTWAIT. */
ssize_t guard_receive(int link, char *buffer, size_t size, int flags, int *ret_fd);
