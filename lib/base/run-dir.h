/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/socket.h>
#include <sys/un.h>

#include "base/util.h"

/* The folder for what lives as long as the boot: /run/safe-remove. */
const char *run_dir(void);

/* Where the socket of that name is in it. -ENAMETOOLONG, or -ENOMEM. */
int run_socket(const char *name, struct sockaddr_un *ret);

/* Root's own way to the daemon, the socket "private" there. -ENOENT: tests with a bus of their own but no such folder have none. */
int run_private_socket(struct sockaddr_un *ret);
