/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/types.h>

#include "base/util.h"

/* The mappings of a process, those that have a file: asked of the kernel one by one, or read from the text. */

typedef enum MapsWay {
        MAPS_BEST,      /* ask where the kernel answers, else read */
        MAPS_QUERY,     /* PROCMAP_QUERY (6.11): makes no text, and skips what has no file */
        MAPS_TEXT,
} MapsWay;

typedef struct Mapping {
        uint64_t start, end;
        char permissions[5];    /* "rw-s" */
        dev_t dev;              /* file system of the file, or of the device node */
        uint64_t inode;
        const char *name;       /* of name_length bytes, as the text has it; NULL when it was not read: maps_query_path() */
        size_t name_length;
} Mapping;

/* Called for each, lowest address first. What it returns other than 0 ends the look and is its result. */
typedef int (*MappingFunc)(const Mapping *m, void *userdata);

/* All of an open /proc/PID/maps. -ESRCH when it has no address space (zombies, kernel threads). MAPS_BEST becomes what the
 * kernel can; MAPS_QUERY gives -ENOTTY where it cannot. */
int maps_each(int fd, MapsWay *way, MappingFunc func, void *userdata);

/* The path of a mapping's file, " (deleted)" included; *ret is NULL when the kernel says nothing. */
int maps_path(int fd, const Mapping *m, char **ret);

/* The two ways. */
int maps_each_text(int fd, MappingFunc func, void *userdata);
int maps_each_query(int fd, MappingFunc func, void *userdata);
int maps_query_path(int fd, const Mapping *m, char **ret);

/* One line of /proc/PID/maps without its newline. 1; 0 when it has no file; -EBADMSG on rubbish. */
int maps_parse_line(const char *line, size_t length, Mapping *ret);
int maps_unescape_name(const char *name, size_t length, char **ret);
