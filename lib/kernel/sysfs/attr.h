/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/util.h"

/* Readers of one-value kernel attributes. Text comes without the trailing newline and is owned by the caller.
 * A read may block as long as the kernel holds the object's lock, so only a worker calls these. */
int attr_read(const char *path, char **ret);
int attr_readf(char **ret, const char *format, ...) _printf_(2, 3);
int attr_read_u64f(uint64_t *ret, const char *format, ...) _printf_(2, 3); /* decimal or 0x */

/* The same in a process of its own, which may be left behind: -ETIME or -EINPROGRESS where the kernel has not answered in that time. */
int attr_read_within(const char *path, uint64_t timeout_usec, char **ret);

/* The same of one that is a word or two, for whoever reads very many: one read into memory of the caller's, -EBADMSG for a longer text. */
int attr_read_word_at(int dirfd, const char *name, char *ret, size_t size);

/* Links are followed: one that leads nowhere is not there. */
bool path_existsf(const char *format, ...) _printf_(1, 2);

/* What a symbolic link says, as it stands: for the link of a device in /sys/bus its whole line of ancestors. */
int link_readf(char **ret, const char *format, ...) _printf_(2, 3);

/* The last component of what a symbolic link points to ("driver", "subsystem"). -ENOENT without the link. */
int link_namef(char **ret, const char *format, ...) _printf_(2, 3);
