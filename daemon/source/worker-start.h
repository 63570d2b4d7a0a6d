/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Asks the guard (guard/workers.h) for the worker program with `verb` as its only argument and `stream`, one end of a socket, as its standard
 * input and output. It leads a process group of its own. What became of it comes over *ret_link, and the end of that connection is the
 * end of the worker. Never blocks; negative errno where the guard is not there just now. */
int worker_process_start(const char *verb, int stream, int *ret_link);
