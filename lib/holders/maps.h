/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/types.h>

#include "base/util.h"

/* The mappings of a process, those that have a file. */

typedef struct Mapping {
        uint64_t start, end;
        char permissions[5];    /* "rw-s" */
        dev_t dev;              /* file system of the file, or of the device node */
        uint64_t inode;
} Mapping;

/* Called for each, lowest address first. What it returns other than 0 ends the look and is its result. */
typedef int (*MappingFunc)(const Mapping *m, void *userdata);

/* One line of /proc/PID/maps without its newline. 1; 0 when it has no file; -EBADMSG on rubbish. */
int maps_parse_line(const char *line, size_t length, Mapping *ret);

/* All of an open /proc/PID/maps. No mapping at all in a process without an address space (kernel threads, zombies). */
int maps_each_text(int fd, MappingFunc func, void *userdata);
