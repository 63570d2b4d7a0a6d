/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/socket.h>
#include <sys/un.h>

#include "base/util.h"

/* The folder for what lives as long as the boot: /run/safe-remove. */
const char *run_dir(void);

/* Whose it is: of who runs guard and workers, root in production and the developer in a test. The daemon has a user of its own, who owns
 * nothing else. Root where it is not there. */
uid_t run_owner(void);

/* Where the socket of that name is in it. -ENAMETOOLONG, or -ENOMEM. */
int run_socket(const char *name, struct sockaddr_un *ret);

/* A nonblocking connection to there. */
int run_connect(const struct sockaddr_un *address, int type);

typedef enum RunFor {
        RUN_OWNER,
        RUN_GROUP,             /* and the owner */
        RUN_EVERYBODY,         /* who then finds the folder's way open, too */
} RunFor;

/* A socket that listens there (SOCK_STREAM or SOCK_SEQPACKET; nonblocking), in the place of an older one; its folder is made. */
int run_listen(const struct sockaddr_un *address, int type, RunFor whom, int backlog);

/* The next connection, nonblocking. -EPERM: of neither root nor run_owner() (nor, with `group`, our own group where that is not root's), by
 * what the kernel says; it is closed. `ret_who` may be NULL. */
int run_accept(int listener, bool group, struct ucred *ret_who);

/* The same, whoever it is. -EAGAIN: there is none. */
int run_accept_any(int listener, struct ucred *ret_who);

/* Tests bring a bus of their own. */
bool run_wants_session_bus(void);

/* The ways to the daemon without a bus: root's own, the socket "daemon/private" there, and everybody else's, "daemon/public". -ENOENT: tests with a bus of
 * their own but no such folder have none. */
int run_private_socket(struct sockaddr_un *ret);
int run_public_socket(struct sockaddr_un *ret);
