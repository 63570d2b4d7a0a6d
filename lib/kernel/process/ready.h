/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/util.h"

/* A process that is made while little is in this one's memory, and makes children for it from then on, each before it is needed. A fork() of a
 * worker that knows the machine and its plan copies the tables of all its pages, and then each page that it writes to. */

enum {
        READY_FDS = 2,
};

/* Runs in such a child, with copies of the descriptors, and those of the process that made it. */
typedef void (*ready_child_t)(const int fds[static READY_FDS]);

/* Makes it, once. It ends with this process, by a signal. 0 or a negative errno. */
int ready_make(ready_child_t child);

/* Asks for a child of this process, as fork() makes one, that is given copies of these descriptors. 0 or a negative errno: none comes. */
int ready_ask(const int fds[static READY_FDS]);

/* *ret: the one that was asked for, which is waited for. A negative errno: there is none, or there may be one that nobody knows of, with copies of
 * the descriptors. No other is made from then on. */
int ready_take(pid_t *ret);
