/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "kernel/apart.h"

/* swapoff(2): everything on it is read back into memory, which takes its time; a signal ends it and leaves the swap on
 * (mm/swapfile.c:try_to_unuse). In the host's mount namespace, like swapon(2). */
int swap_off(const char *path, const ApartOptions *options);

/* A negative priority is one that the kernel had chosen: it chooses again. */
int swap_on(const char *path, int priority, const ApartOptions *options);

/* What could take what is on one swap: memory that can be had without swapping, in bytes. */
int memory_available(uint64_t *ret);
