/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "holders/look-gaps.h"
#include "holders/scan/process-roll.h"

/* Threads that look at one process after the other. Whatever asks the kernel about a process's memory does it through them: the answer
 * waits for the lock of that address space, and anybody can have a process that hangs with it taken. */

/* What they do. The whole is what all of them work on; each has a part of its own beside it. */
typedef struct CrewWork {
        size_t part_size;
        /* Whom nobody has to look at; before the others, and not where one process is asked for. NULL: nobody. */
        void (*leave_out)(void *whole, uint64_t deadline, ProcessRoll *roll);
        int (*begin)(void *part, void *whole, uint64_t deadline); /* the part is zeroed; deadline: monotonic */
        int (*look)(void *part, int proc, const char *name);      /* at one process of /proc; a negative errno ends the work */
        int (*look_at_files)(void *part, int proc, const char *name); /* the same without its memory; NULL: there is nothing else to look at */
        int (*hand_over)(void *part, void *whole);                /* what was found so far; nobody else is at the whole. -ENOMEM */
        void (*end)(void *part);
        void (*take)(void *whole, const Gaps *gaps, void *ret);   /* moves what was handed over to ret, and adds the gaps */
        void (*free)(void *whole);
} CrewWork;

/* Does it at all processes, or at the one whose pid is not 0, until the deadline (monotonic; UINT64_MAX: there is none), and a little longer
 * if it must. Whoever is not back in a second from a process that hangs in the kernel is left behind there, and somebody else looks at
 * that one's files (GAP_MAPPINGS; GAP_HANG where he is not back either) and goes on with the others. Whoever is not back in the end is left
 * behind as well, with the whole: what was found until then is all, and has a gap.
 * Takes over the whole, also where it fails; nothing that is the caller's may be in it. 0 or a negative errno. */
int crew_run(const CrewWork *work, void *whole, uint64_t deadline, int pid, void *ret);

/* The same in two parts, for whoever has something else to do meanwhile. Whoever has started a crew ends it: that waits for it, and frees it. */
typedef struct Crew Crew;
int crew_start(const CrewWork *work, void *whole, uint64_t deadline, int pid, Crew **ret);
int crew_end(Crew *c, void *ret);
