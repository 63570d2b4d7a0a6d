/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/json.h"
#include "base/util.h"
#include "kernel/process/apart.h"

/* Which file it is that the path leads to from the host's root, straight (kernel/mounts/file-id.h). */
int swap_file_id(const char *path, uint64_t timeout_usec, json_object **ret);

/* swapoff(2): everything on it is read back into memory, which takes its time; a signal ends it and leaves the swap on
 * (mm/swapfile.c:try_to_unuse). In the host's mount namespace, like swapon(2). id: of a file; -ESTALE when the path does not lead to that
 * one, -ENODATA when nothing on its file system could tell. NULL: whatever it leads to. */
int swap_off(const char *path, json_object *id, const ApartOptions *options);

/* A negative priority is one that the kernel had chosen: it chooses again. */
int swap_on(const char *path, json_object *id, int priority, const ApartOptions *options);

/* What could take what is on one swap: memory that can be had without swapping, in bytes. */
int memory_available(uint64_t *ret);

/* A line of /proc/swaps, the kernel's escapes undone. */
typedef struct SwapEntry {
        char *path;             /* as seen from the root it was opened in; " (deleted)" after a file that has no name any more */
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
