/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>

/* Who uses a file below a folder (a process, a swap, a loop device), or NULL. */
const char *block_file_user(const char *folder);
/* Who in the kernel has a block device for himself ("9:126"), or NULL. */
const char *block_user(unsigned major, unsigned minor);
/* The same, or a process that has it open for itself alone. */
const char *block_busy(unsigned major, unsigned minor);
/* Opens it so: a descriptor, or -EBUSY where another process has. */
int block_claim(unsigned major, unsigned minor);
/* A device's whole path: it goes, with its node. One that is in use loses bytes: that is a broken invariant. */
void block_goes(const char *device);
void block_comes(const char *device);
/* Of a function that goes: its disks, and those of a subsystem that nobody else serves. */
void disks_go(const char *function);
/* swapoff(2) and swapon(2); 0 or a negative errno. */
int swap_stop(const char *path);
int swap_start(const char *path, int flags);
/* A program of the machine (mdadm, lvchange, dmsetup): 0 or its exit status. */
int program_run(const char *const argv[]);
