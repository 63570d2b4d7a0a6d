/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/util.h"

/* Why a look at all processes is not complete. */
typedef enum GapKind {
        GAP_TIME,       /* the time for it was over */
        GAP_HANG,       /* a process hangs in the kernel in such a way that whoever looks at it does too */
        GAP_MAPPINGS,   /* such a process, whose files and folders could be looked at */
        GAP_PROCESS,    /* a process could not be read; of no process: /proc could not */
        GAP_FILE,       /* a process has a file whose file system does not say what it is */
        GAP_NETWORK,    /* the network namespace of a process could not be asked for its sockets */
        GAP_RDMA,       /* what is pinned for RDMA is not known */
        _GAP_KIND_MAX,
} GapKind;

typedef struct Gap {
        size_t n;               /* processes; 0: there is no such gap */
        int pid, last_pid;      /* the first of them, or 0; and the newest */
        int error;              /* of the first: a negative errno, or 0 */
        bool has_uid;           /* GAP_TIME only: ... */
        uint32_t uid;           /* ... the user whose processes took most of it */
} Gap;

typedef struct Gaps {
        Gap of[_GAP_KIND_MAX];
} Gaps;

void gap_note(Gaps *g, GapKind kind, int pid, int error);

/* The time was over before n processes had their turn, or were looked at to the end. */
void gap_note_time(Gaps *g, size_t n, bool has_uid, uint32_t uid);

void gaps_add(Gaps *to, const Gaps *from);
bool gaps_none(const Gaps *g);

/* Are there none but of these kinds, each as 1 << kind? */
bool gaps_none_but(const Gaps *g, unsigned kinds);

/* Those that anybody can see to, with more processes than there is time for or with one that hangs, and that say nothing of who uses what. */
#define GAPS_OF_ANYBODY (1U << GAP_TIME | 1U << GAP_HANG | 1U << GAP_MAPPINGS)

/* "process 12 (dd) hangs in the kernel, and 2 others". Newly allocated, as are the following. */
char *gap_text(GapKind kind, const Gap *gap);

/* All of them in one line; NULL where there are none. */
char *gaps_text(const Gaps *g);

/* Where it is seen: "/proc/12/status, /proc/12/wchan: folio_wait_bit". */
char *gap_evidence(GapKind kind, const Gap *gap);

/* A command after which that is no gap any more; NULL where a process does not help, as with the time. */
char *gap_remedy(GapKind kind, const Gap *gap);
