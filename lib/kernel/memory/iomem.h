/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/util.h"

/* One line of /proc/iomem. Addresses are inclusive, as the kernel prints them; depth counts from 0. */
typedef struct IomemRange {
        uint64_t start;
        uint64_t end;
        unsigned depth;
        char *name;
} IomemRange;

typedef struct Iomem {
        IomemRange *ranges;
        size_t n_ranges;
        size_t n_allocated;
} Iomem;

void iomem_free(Iomem *m);
DEFINE_CLEANUP_FUNC(Iomem, iomem_free)

/* Parses the text of /proc/iomem. -EBADMSG on a malformed line. Without CAP_SYS_ADMIN the kernel prints zeros for
 * every address (kernel/resource.c:r_show): that is -EPERM here, never "nothing there". */
int iomem_parse(const char *text, Iomem **ret);
int iomem_load(Iomem **ret);

/* The first range that overlaps [start, start+size) and is not one of the things that remain when a card is gone: a "CXL Window", the
 * host bridge's own windows, and what the firmware says of the addresses. NULL when there is none. */
const IomemRange *iomem_find_leftover(const Iomem *m, uint64_t start, uint64_t size);

/* Memory that the kernel uses as its own (System RAM, whoever added it) with an address in [start, start+size), the first that follows `after`
 * (NULL: at all). NULL when there is none. */
const IomemRange *iomem_find_system_ram(const Iomem *m, uint64_t start, uint64_t size, const IomemRange *after);

/* A line that describes the address map and not a use of it. */
bool iomem_is_window(const IomemRange *range);
