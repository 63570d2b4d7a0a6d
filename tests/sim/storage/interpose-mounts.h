/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

/* Of open(2): -2 where that is nothing of mounts or claims. */
int mount_open(int dirfd, const char *path, int flags);
/* Which mount shows a file, as stat(2) and statx(2) say it. */
void mount_stat(int fd, struct stat *st);
bool mount_statx(int dirfd, const char *path, int flags, unsigned *ret_major, unsigned *ret_minor, uint64_t *ret_id);

/* interpose-block.c, of ioctl(2). */
int block_ioctl(int fd, unsigned long request, void *argument);
