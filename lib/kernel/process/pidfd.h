/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/util.h"

/* A process by descriptor: unlike its number it is never given to another one. (The C library of the oldest release we build on
 * has no wrappers.) */
int pidfd_open_process(int pid, int *ret_fd);

/* 0, -ESRCH when it has ended. */
int pidfd_signal(int pidfd, int signal);

/* Waits for its end. 0, or -ETIME. A zombie has ended. */
int pidfd_wait(int pidfd, uint64_t timeout_usec);
