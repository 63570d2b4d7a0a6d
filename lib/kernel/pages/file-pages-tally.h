/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "kernel/memory/memmap.h"
#include "kernel/pages/file-pages.h"
#include "kernel/process/task-files.h"

/* The inside of file_pages_in(). */

/* The fields that are read, by the names of struct and member. */
enum {
        CTX_USER_BUFS, CTX_NR_USER_BUFS, CTX_BUF_TABLE, TABLE_NR, TABLE_NODES, NODE_BUF, BUF_NR_BVECS, BUF_BVEC, BVEC_PAGE, BVEC_LEN,
        PIPE_BUFS, PIPE_HEAD, PIPE_TAIL, PIPE_RING_SIZE, PIPE_BUFFER_PAGE, PIPE_BUFFER_LEN,
        SOCKET_SK, SOCK_FAMILY, XSK_UMEM, UMEM_PGS, UMEM_NPGS,
        _FIELD_MAX,
};

enum {
        FILE_OPERATIONS_MAX = 2,        /* files of one kind may have either */
};

struct FilePages {
        Memmap memmap;
        TaskFiles tasks;
        uint64_t at[_FIELD_MAX];                /* UINT64_MAX: this kernel has no such field */
        uint64_t bvec_size, pipe_buffer_size;
        uint64_t f_op[_FILE_PAGES_KIND_MAX][FILE_OPERATIONS_MAX];
        size_t n_f_op[_FILE_PAGES_KIND_MAX];    /* 0: this kernel has no such files */
        uint64_t *pages;                        /* as many as are read at a time */
};

/* What is looked for, and what was found of it. */
typedef struct Tally {
        const CardMemory *memory;
        size_t n_memory;
        uint64_t bytes;
} Tally;

/* Adds the pages that the file with this private data keeps. */
int tally_ring(FilePages *f, uint64_t ctx, Tally *t);
int tally_pipe(FilePages *f, uint64_t pipe, Tally *t);
int tally_xdp(FilePages *f, uint64_t socket, Tally *t);
