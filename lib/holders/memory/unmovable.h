/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/util.h"

/* Pages of memory that no migration can move: slab, page tables, reserved, other kernel pages (neither free, LRU, movable nor
 * anonymous; at least so many, for free pages on a CPU's list look the same). */
typedef struct UnmovablePages {
        uint64_t slab, page_tables, reserved, other;
} UnmovablePages;

/* Those of `size` bytes from the physical address `start` on, by /proc/kpageflags. An estimate: what the kernel will answer is only
 * known by trying. -ENODATA where the file is missing or unreadable, or does not go so far. */
int unmovable_pages_in_block(uint64_t start, uint64_t size, UnmovablePages *ret);

/* Pages that are free but wait on a CPU's own list, in all zones that reach into the frames [first, first+n): the sum of
 * "count:" in the text of /proc/zoneinfo. -EBADMSG on rubbish. */
int zoneinfo_cpu_pages(const char *text, uint64_t first, uint64_t n, uint64_t *ret);
