/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* A device (its whole path) comes or goes, and its node with it. The kind is 'c' or 'b'. */
void node_comes(const char *device, char kind);
void node_goes(const char *device, char kind);
/* Something that its users would notice happens to it: there may be none any more. */
void node_in_use(const char *device, const char *what);
/* A file of /dev that stands for a node: which, by its inode. */
bool node_number(uint64_t inode, char *ret_kind, unsigned *ret_major, unsigned *ret_minor);
/* Something is lost that somebody had, and it is no rival's doing. */
void loss(const char *format, ...) __attribute__((format(printf, 1, 2)));
