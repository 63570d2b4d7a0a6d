/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/types.h>

#include "base/util.h"

typedef struct Spawn {
        const char *path;               /* of the program */
        const char *const *argv;        /* NULL-terminated, its own name first */
        char *const *environment;       /* NULL-terminated */
        int in, out, err;               /* become its standard streams; the caller keeps them */
        bool own_group;                 /* it leads a process group; otherwise it stays in ours: whoever ends us for good means it too */
} Spawn;

/* Starts a program that inherits nothing but what is said here: no other descriptor, no blocked signal (sd-event has some, and a
 * blocked mask survives exec), no handler that is SIG_IGN. The process is the caller's to collect. Negative errno, that of exec included. */
int spawn_process(const Spawn *s, pid_t *ret);

/* The same, but it waits for a byte from *ret_go (the caller's to close) before it becomes the program, and ends without it. It gets SIGKILL
 * when the caller ends. A program that cannot be run ends with the status 127, and says why on its standard error. */
int spawn_waiting(const Spawn *s, int *ret_go, pid_t *ret);

/* All that somebody writes into a pipe or socket until its other end is closed: newly allocated, with a 0 behind it. -ETIMEDOUT once now_monotonic() has
 * reached `deadline`, -EFBIG past max bytes. */
int read_to_end(int fd, uint64_t deadline, size_t max, char **ret);
