/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/socket.h>
#include <sys/un.h>

#include "base/util.h"

/* The folder for what lives as long as the boot: /run/safe-remove. */
const char *run_dir(void);

/* Where the socket of that name is in it. -ENAMETOOLONG, or -ENOMEM. */
int run_socket(const char *name, struct sockaddr_un *ret);

/* A nonblocking connection to there. */
int run_connect(const struct sockaddr_un *address, int type);

/* A socket that listens there (SOCK_STREAM or SOCK_SEQPACKET; nonblocking), in the place of an older one, for its owner and perhaps its group;
 * the folder is made. */
int run_listen(const struct sockaddr_un *address, int type, bool group, int backlog);

/* The next connection, nonblocking. -EPERM: of neither root nor our own user (nor, with `group`, our own group where that is not root's), by
 * what the kernel says; it is closed. `ret_who` may be NULL. */
int run_accept(int listener, bool group, struct ucred *ret_who);

/* Tests bring a bus of their own. */
bool run_wants_session_bus(void);

/* Root's own way to the daemon, the socket "private" there. -ENOENT: tests with a bus of their own but no such folder have none. */
int run_private_socket(struct sockaddr_un *ret);
