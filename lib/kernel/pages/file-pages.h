/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "kernel/pages/page-census.h"

/* Pages that an open file keeps for itself, whatever became of the mapping they were taken from: the kernel's own lists of them,
 * followed from the process to the page frame. What is found so is certain, unlike every figure in /proc. */

typedef enum FilePagesKind {
        FILE_PAGES_RING,        /* registered buffers of an io_uring */
        FILE_PAGES_PIPE,        /* given by vmsplice(2), or on their way from one file to another */
        FILE_PAGES_XDP,         /* the packet memory of an AF_XDP socket */
        _FILE_PAGES_KIND_MAX,
        _FILE_PAGES_KIND_INVALID = -EINVAL,
} FilePagesKind;

DECLARE_STRING_TABLE(file_pages_kind, FilePagesKind); /* "ring", "pipe", "xdp" */

typedef struct FilePages FilePages;

void file_pages_free(FilePages *f);
DEFINE_CLEANUP_FUNC(FilePages, file_pages_free)

/* Notes all processes that are there now. A negative errno with *ret_why when the kernel's memory cannot be read. */
int file_pages_open(FilePages **ret, char **ret_why);

typedef struct FilePagesAnswer {
        uint64_t file;                  /* the same number for the same file, however many descriptors it has */
        uint64_t bytes;                 /* that lie within the memory, of compound pages what is kept of them */
} FilePagesAnswer;

/* What of the memory the file behind a descriptor of a process keeps. -EOPNOTSUPP when this kernel's lists do not look like any we
 * know; -ENOENT when there is no such process or descriptor, or it is no such file (any more). */
int file_pages_in(FilePages *f, int pid, int fd, FilePagesKind kind, const CardMemory *memory, size_t n_memory, FilePagesAnswer *ret);
