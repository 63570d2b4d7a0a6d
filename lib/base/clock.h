/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <time.h>

#include "base/util.h"

#define USEC_PER_SEC UINT64_C(1000000)
#define USEC_PER_MSEC UINT64_C(1000)

/* Microseconds. Deadlines and durations use the monotonic clock, records the wall clock. */
uint64_t now_monotonic(void);
uint64_t now_wall(void);

/* For a process that has to be through at a moment (monotonic; 0: it has none), whatever it waits for: nothing that changes the machine or
 * looks at it is begun after that. */
void time_set_end(uint64_t monotonic);
bool time_has_ended(void);

/* How long one thing may take that has `usec` by itself: at most half of what is left until the end, so that one which hangs leaves time
 * for those after it. */
uint64_t time_for(uint64_t usec);

/* Has anything had less than that, since there is an end? */
bool time_was_short(void);

/* This boot's id without dashes (32 characters); buffer of 33 bytes. */
int boot_id_read(char ret[static 33]);
