/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/json.h"
#include "base/strtab.h"

/* Does anybody hold a reference to a page of the card? Mappings can be found in /proc, but a pin (a registered buffer, DMA in
 * flight) needs neither mapping nor descriptor; only the page's own reference count knows. And nothing in the kernel waits for
 * pins when a DAX driver is unbound (mm/memremap.c:memunmap_pages frees the memmap under them). */

typedef enum CensusKind {
        CENSUS_DEVICE_DAX,      /* device_dax: compound pages of the device's alignment */
        CENSUS_FSDAX,           /* pmem: pages of file systems with dax */
        CENSUS_SYSTEM_RAM,      /* not counted: that a block goes offline is the proof */
        _CENSUS_KIND_MAX,
        _CENSUS_KIND_INVALID = -EINVAL,
} CensusKind;

DECLARE_STRING_TABLE(census_kind, CensusKind); /* "device-dax", "fsdax", "system-ram" */

/* A stretch of a card's memory: bytes, physical. */
typedef struct CardMemory {
        uint64_t start, size;
        CensusKind kind;
} CardMemory;

/* The JSON form, as it stands in a step's arguments: [{"start", "size", "kind"}]. 0, -EBADMSG or -ENOMEM; free() what comes. */
int card_memory_from_json(json_object *array, CardMemory **ret, size_t *ret_n);

typedef enum CensusVerdict {
        CENSUS_CLEAN,           /* every page shows what an unused one shows */
        CENSUS_REFERENCED,
        CENSUS_NOT_PROVABLE,    /* this kernel does not let us know, or nobody could tell what an unused page shows */
        _CENSUS_VERDICT_MAX,
        _CENSUS_VERDICT_INVALID = -EINVAL,
} CensusVerdict;

DECLARE_STRING_TABLE(census_verdict, CensusVerdict); /* "clean", "referenced", "not-provable" */

enum {
        CENSUS_RANGES_MAX = 8,
};

typedef struct CensusRange {
        uint64_t start, size;           /* bytes, physical */
} CensusRange;

typedef struct CensusResult {
        CensusVerdict verdict;
        char *why;                      /* not provable: why, for a person; else NULL */
        uint64_t unit;                  /* bytes that one count stands for: a page or a compound page */
        int32_t idle;                   /* what an unused unit shows */
        bool tails;                     /* counted frame by frame, though the memory has compound pages: their tails show 0 */
        uint64_t n_units, n_idle;
        uint64_t n_referenced;          /* units that show more */
        uint64_t n_references;          /* how much more, all together */
        CensusRange ranges[CENSUS_RANGES_MAX]; /* where, neighbours in one: the first ones */
        size_t n_ranges;
} CensusResult;

void census_result_done(CensusResult *r);

/* Counts the pages of [start, start+size), which has to lie within one device's memory. 0 whatever the verdict is; a negative errno
 * only for no memory. Reads, never waits. 1 GiB takes 2 to 200 ms. */
int page_census(uint64_t start, uint64_t size, CensusKind kind, CensusResult *ret);

/* The same for several at once, leaving System RAM out: referenced when one is, clean when all are. Sums and ranges are of all; the
 * unit is that of the first which is not clean. */
int page_census_all(const CardMemory *memory, size_t n, CensusResult *ret);

/* Whether this kernel lets us count. 0, and 1 where it is a recorded machine that is looked at, whose kernel nobody can ask; else a negative errno, and why not
 * for a person (owned by the caller; NULL without memory). */
int page_census_open(char **ret_why);

/* Adds n counts (the low half of each value, as _refcount lies there) of the units from `start` on. For page_census() and its test. */
void census_add(CensusResult *r, uint64_t start, const uint64_t *values, size_t n);

/* From the sums to the verdict. */
int census_judge(CensusResult *r);

/* {"verdict", "why", "unit", "idle", "n_units", "n_referenced", "n_references", "ranges": [{"start", "size"}]} */
json_object *census_result_to_json(const CensusResult *r);

/* One line: "2 of 256 pages of 2 MiB are referenced (1024 references), first 0x490000000-0x4903fffff". */
char *census_result_text(const CensusResult *r);
