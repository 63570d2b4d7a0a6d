/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <time.h>

#include "base/util.h"

#define USEC_PER_SEC UINT64_C(1000000)
#define USEC_PER_MSEC UINT64_C(1000)

/* Microseconds. Deadlines and durations use the monotonic clock, records the wall clock. */
uint64_t now_monotonic(void);
uint64_t now_wall(void);

/* This boot's id without dashes (32 characters); buffer of 33 bytes. */
int boot_id_read(char ret[static 33]);
