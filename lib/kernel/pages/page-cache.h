/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/types.h>

#include "base/util.h"

/* Which files have pages in a stretch of System RAM: page cache, tmpfs and shared memory alike. Nothing in /proc tells that; the kernel's
 * table of page frames does, and its inodes their names. */

typedef struct CachedFile {
        dev_t dev;              /* of its file system */
        uint64_t inode;
        char *path;             /* within its file system; NULL: it has none in the kernel's memory */
        uint64_t bytes;         /* in that stretch */
} CachedFile;

typedef struct CachedFiles {
        CachedFile *items;
        size_t n;
} CachedFiles;

void cached_files_done(CachedFiles *f);

typedef struct PageCache PageCache;

void page_cache_free(PageCache *c);
DEFINE_CLEANUP_FUNC(PageCache, page_cache_free)

/* A negative errno with *ret_why for a person when the kernel's memory cannot be read. */
int page_cache_open(PageCache **ret, char **ret_why);

/* Counts the pages of [start, start+size), on top of what was counted before. */
int page_cache_count(PageCache *c, uint64_t start, uint64_t size);

/* The files with the most pages, at most `max`, largest first. */
int page_cache_largest(const PageCache *c, size_t max, CachedFiles *ret);
