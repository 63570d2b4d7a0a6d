/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/util.h"

/* Descriptors on their way from one process to another, through a local socket (SCM_RIGHTS): the file is open, and nobody's list of
 * descriptors has it. The kernel tells how many wait in a socket (scm_fds in its fdinfo, net/unix/af_unix.c:unix_show_fdinfo, 5.15), and
 * not of which files. So this is for whoever knows that something is held and finds nobody. */

/* "3 descriptors wait in a socket of process 12 (sender), /proc/12/fdinfo/4, and some in 2 more"; NULL where none do. The look ends after
 * budget_usec, with what was seen until then. Newly allocated. 0; -EOPNOTSUPP where this kernel does not tell; or a negative errno. */
int in_flight_text(uint64_t budget_usec, char **ret);

/* The line of such a text: how many wait in a socket, or -ENOENT where it has none. */
int in_flight_count(const char *fdinfo, uint64_t *ret);
