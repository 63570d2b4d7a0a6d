/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "holders/holder.h"

/* Writes back every file of a file system that a process has mapped or open, whichever thread: syncfs() passes those by that were only
 * written through MAP_SYNC mappings (fs/dax.c: the page is dirty, the inode is not). May block: call it apart. 0 or a negative errno;
 * -ESRCH when the process is gone. */
int holder_sync_files(const Holder *h, dev_t dev);
