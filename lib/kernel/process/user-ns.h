/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/util.h"

/* User namespaces: anybody may make one, and be any of the users that he has been lent in it. So whose a process or a mount namespace is that
 * is in one, who made the namespace says, not the number of its user. */

#define USER_NS_OWNER_UNKNOWN UINT32_MAX

/* The inode of that of PID 1; 0: it cannot be found out, and nobody is in another one then. */
uint64_t user_ns_host(void);

/* The numbers that processes have here are those that they have for the kernel. */
bool pid_ns_is_first(void);

/* Who made it, or the outermost that it lies in: nobody makes one but in his own. fd: of its nsfs file; host: as above.
 * (fs/nsfs.c:ns_ioctl) */
uint32_t user_ns_owner(int fd, uint64_t host);
