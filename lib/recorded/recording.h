/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "recorded/tree.h"

/* A recorded machine as one text file. One entry a line, fields separated by tabs:
 *
 *      d PATH              a folder (only where it is otherwise not implied)
 *      l PATH TARGET       a symbolic link
 *      f PATH TEXT         a file; \n, \t, \\ and \xNN as in C
 *      b PATH HEX          a binary file
 *
 * A file written by hand may also have "i FILE" (everything in that file beside it, which later lines replace), "- PATH" (take away a file, link or
 * whole folder), "p PATH OFFSET HEX" (bytes within a binary file). What begins with "#" is for people, but for the first line of what `safe-remove
 * snapshot` has made: RECORDING_HEADER and the format's number. */

#define RECORDING_HEADER "# safe-remove snapshot "

/* Where the removals on record are there, each in a folder: journal and plan.json. */
#define RECORDING_REMOVALS "/var/lib/safe-remove/removals"

enum {
        RECORDING_FORMAT = 2,   /* 1: without removals */
};

/* Unpacks it: a file of that kind, or a folder that was unpacked before. Negative errno, with *ret_error in words for people (NULL: out of memory).
 * -EPROTONOSUPPORT: it is of a later format. */
int recording_unpack(const char *path, Tree *t, char **ret_error);

/* One line of such a file but "i", which is taken to pieces. -EBADMSG: it is none. */
int recording_add_line(Tree *t, char *line);

/* The path and text of one entry as they stand in a line, newly allocated. */
char *recording_escape(const char *text, size_t length);
