/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "holders/scan.h"

/* Threads that look at one process after the other. */
typedef struct Crew Crew;

void crew_free(Crew *c);
DEFINE_CLEANUP_FUNC(Crew, crew_free)

/* They keep nothing of the caller's. */
int crew_start(const HoldTargets *targets, MapsWay way, uint64_t deadline, Crew **ret);

/* Waits for them, and a little longer than the deadline if it must: a look at a process may hang where that process hangs in the
 * kernel. Whoever is not back then is left behind, with the crew, and what they found until then is all. The crew is used up. */
int crew_end(Crew *c, Holders *ret);
