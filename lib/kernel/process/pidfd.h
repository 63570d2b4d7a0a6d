/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/util.h"

/* A process by descriptor: unlike its number it is never given to another one. (The C library of the oldest release we build on
 * has no wrappers.) */
int pidfd_open_process(int pid, int *ret_fd);

/* 0, -ESRCH when it has ended. */
int pidfd_signal(int pidfd, int signal);

/* Who began it (its real user), and whose rights it has. -ENOTTY: the kernel (before 6.13) does not tell; -ESRCH: it has ended. */
int pidfd_users(int pidfd, uint32_t *ret_real, uint32_t *ret_effective);

/* Waits for its end. 0, or -ETIME. A zombie has ended. */
int pidfd_wait(int pidfd, uint64_t timeout_usec);
