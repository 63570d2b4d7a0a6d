/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "base/util.h"

/* A process that somebody has stopped, by a signal or by tracing it: it says nothing, and its own deadlines do not pass while it stands. Who
 * traces it for a moment, or call by call, lets it get on. */

typedef struct Standing {
        unsigned looks;         /* in a row at which it stood, and had not run since the one before */
        uint64_t turns;
} Standing;

#define STANDING_LOOK_USEC USEC_PER_SEC

/* One more look, STANDING_LOOK_USEC after the last one. True at the one at which it has stood for too long, and not again while it goes on standing.
 * *ret_tracer: the process that it stands for, 0 where it was a signal. pid: a child of the caller's that he has not collected. */
bool standing_look(Standing *s, pid_t pid, int *ret_tracer);
