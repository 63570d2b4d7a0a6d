/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/types.h>

/* Starts the worker program with `verb` as its only argument and one end of a socket as its standard input and output.
 * The process leads its own group and has default signals. */
int worker_process_start(const char *verb, pid_t *ret_pid, int *ret_fd);
