/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "topology/select/select-name.h"
#include "topology/topology.h"

/* One card that a name could mean. */
typedef struct Candidate {
        const char *bdf;       /* or NULL */
        const Memdev *memdev;  /* or NULL */
        const Slot *slot;      /* or NULL */
} Candidate;

typedef struct Candidates {
        Candidate *items;
        size_t n, n_allocated;
        bool exists;           /* the thing the name means is there, whether or not a card stands behind it */
} Candidates;

/* Why a name does not lead to one slot: newly allocated, one line, or NULL when out of memory. */
char *why_malformed(const Topology *t, const char *name);
char *why_unknown(const Topology *t, const Name *name);
char *why_ambiguous(const Name *name, const Candidates *c);
char *why_no_slot(const Topology *t, const Name *name);
