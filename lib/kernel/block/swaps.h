/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/util.h"

/* A line of /proc/swaps, the kernel's escapes undone. */
typedef struct SwapEntry {
        char *path;             /* as seen from the root it was opened in; " (deleted)" behind a file that has no name any more */
        bool file;              /* else a block device */
        uint64_t size, used;    /* bytes */
        int priority;
} SwapEntry;

typedef struct SwapEntries {
        SwapEntry *items;
        size_t n_items, n_allocated;
} SwapEntries;

void swap_entries_done(SwapEntries *l);

#define _cleanup_swap_entries_ _cleanup_(swap_entries_done)

/* Adds every line of the text but the first, which is a title; -EBADMSG at one that is none, with the list as far as it was
 * read. */
int swaps_parse(const char *text, SwapEntries *l);
