/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <sys/socket.h>

#include "kernel/pages/file-pages-tally.h"

enum {
        /* io_uring/rsrc.c:IORING_MAX_REG_BUFFERS; with more we went astray. The same for the pages of one buffer (1 GiB; 6.15 allows
         * bytes up to that too), of a pipe and of a socket. */
        BUFFERS_MAX = 1 << 14,
        PAGES_MAX = 1 << 24,
};

/* An array of which each element points to a page and, at another place, says how many bytes of it. */
typedef struct PageList {
        uint64_t page, length;                  /* of the first element; length 0: a page frame's */
        uint64_t stride, n;
} PageList;

static bool has_fields(const FilePages *f, size_t first, size_t last) {
        for (size_t i = first; i <= last; i++)
                if (f->at[i] == UINT64_MAX)
                        return false;
        return true;
}

static int read_u64(const FilePages *f, uint64_t address, uint64_t *ret) {
        return kernel_memory_u64(f->memmap.memory, address, ret);
}

static int read_u32(const FilePages *f, uint64_t address, uint32_t *ret) {
        return kernel_memory_u32(f->memmap.memory, address, ret);
}

/* UINT64_MAX for what points to no page frame of the memmap. */
static uint64_t physical_of(const FilePages *f, uint64_t page) {
        uint64_t offset = page - f->memmap.base;

        if (page < f->memmap.base || offset % f->memmap.entry_size != 0)
                return UINT64_MAX;
        return offset / f->memmap.entry_size * f->memmap.frame_size;
}

static bool is_within(const Tally *t, uint64_t physical) {
        for (size_t i = 0; i < t->n_memory; i++)
                if (physical >= t->memory[i].start && physical - t->memory[i].start < t->memory[i].size)
                        return true;
        return false;
}

static int tally_some(FilePages *f, const PageList *l, uint64_t from, size_t n, Tally *t) {
        const uint64_t *values;
        size_t n_within = 0;

        int r = kernel_memory_gather(f->memmap.memory, l->page + from * l->stride, l->stride, n, &values);
        if (r < 0)
                return r;
        for (size_t i = 0; i < n; i++) {
                f->pages[i] = physical_of(f, values[i]);
                n_within += is_within(t, f->pages[i]);
        }
        if (n_within == 0)
                return 0;

        if (l->length > 0)
                r = kernel_memory_gather(f->memmap.memory, l->length + from * l->stride, l->stride, n, &values);
        for (size_t i = 0; i < n && r >= 0; i++) {
                uint32_t length = (uint32_t) f->memmap.frame_size;
                if (l->length > 0)
                        memcpy(&length, &values[i], sizeof(length));
                if (is_within(t, f->pages[i]))
                        t->bytes += length;
        }
        return r;
}

static int tally_list(FilePages *f, const PageList *l, Tally *t) {
        if (l->n > PAGES_MAX)
                return -ENOENT;
        for (uint64_t from = 0, n; from < l->n; from += n) {
                n = l->n - from < KERNEL_MEMORY_VALUES_MAX ? l->n - from : KERNEL_MEMORY_VALUES_MAX;
                int r = tally_some(f, l, from, n, t);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int tally_buffer(FilePages *f, uint64_t buffer, Tally *t) {
        uint32_t n;

        int r = read_u32(f, buffer + f->at[BUF_NR_BVECS], &n);
        if (r < 0)
                return r;
        const PageList list = {
                .page = buffer + f->at[BUF_BVEC] + f->at[BVEC_PAGE], .length = buffer + f->at[BUF_BVEC] + f->at[BVEC_LEN],
                .stride = f->bvec_size, .n = n,
        };
        return tally_list(f, &list, t);
}

/* Where the table of buffers lies and how long it is. Its elements point to buffers, or to nodes that do. */
static int find_buffers(FilePages *f, uint64_t ctx, bool nodes, uint64_t *ret_table, uint32_t *ret_n) {
        uint64_t table_at = nodes ? ctx + f->at[CTX_BUF_TABLE] + f->at[TABLE_NODES] : ctx + f->at[CTX_USER_BUFS];
        uint64_t n_at = nodes ? ctx + f->at[CTX_BUF_TABLE] + f->at[TABLE_NR] : ctx + f->at[CTX_NR_USER_BUFS];

        int r = read_u64(f, table_at, ret_table);
        return r < 0 ? r : read_u32(f, n_at, ret_n);
}

int tally_ring(FilePages *f, uint64_t ctx, Tally *t) {
        bool nodes = has_fields(f, CTX_BUF_TABLE, NODE_BUF);
        uint64_t table, buffer;
        uint32_t n;

        if ((!nodes && !has_fields(f, CTX_USER_BUFS, CTX_NR_USER_BUFS)) || !has_fields(f, BUF_NR_BVECS, BVEC_LEN))
                return -EOPNOTSUPP;
        int r = find_buffers(f, ctx, nodes, &table, &n);
        if (r < 0 || n > BUFFERS_MAX)
                return r < 0 ? r : -ENOENT;
        for (uint32_t i = 0; i < n && r >= 0; i++) {
                r = read_u64(f, table + i * sizeof(uint64_t), &buffer);
                if (r >= 0 && nodes && buffer != 0)
                        r = read_u64(f, buffer + f->at[NODE_BUF], &buffer);
                if (r >= 0 && buffer != 0)
                        r = tally_buffer(f, buffer, t);
        }
        return r;
}

/* A ring of slots, a power of two, of which those from tail to head are in use (include/linux/pipe_fs_i.h). */
int tally_pipe(FilePages *f, uint64_t pipe, Tally *t) {
        uint32_t head, tail, size;
        uint64_t slots;

        if (!has_fields(f, PIPE_BUFS, PIPE_BUFFER_LEN))
                return -EOPNOTSUPP;
        int r = read_u64(f, pipe + f->at[PIPE_BUFS], &slots);
        if (r >= 0)
                r = read_u32(f, pipe + f->at[PIPE_HEAD], &head);
        if (r >= 0)
                r = read_u32(f, pipe + f->at[PIPE_TAIL], &tail);
        if (r >= 0)
                r = read_u32(f, pipe + f->at[PIPE_RING_SIZE], &size);
        if (r < 0)
                return r;
        if (size == 0 || (size & (size - 1)) != 0 || head - tail > size)
                return -ENOENT;

        uint32_t begin = tail & (size - 1), n = head - tail, n_end = n < size - begin ? n : size - begin;
        PageList list = {
                .page = slots + begin * f->pipe_buffer_size + f->at[PIPE_BUFFER_PAGE],
                .length = slots + begin * f->pipe_buffer_size + f->at[PIPE_BUFFER_LEN],
                .stride = f->pipe_buffer_size, .n = n_end,
        };
        r = tally_list(f, &list, t);
        if (r < 0)
                return r;
        list.page = slots + f->at[PIPE_BUFFER_PAGE];
        list.length = slots + f->at[PIPE_BUFFER_LEN];
        list.n = n - n_end;
        return tally_list(f, &list, t);
}

int tally_xdp(FilePages *f, uint64_t socket, Tally *t) {
        uint64_t sock, umem, pages, first;
        uint16_t family = AF_UNSPEC;
        uint32_t n;

        if (!has_fields(f, SOCKET_SK, UMEM_NPGS))
                return -EOPNOTSUPP;
        int r = read_u64(f, socket + f->at[SOCKET_SK], &sock);
        if (r >= 0)
                r = read_u64(f, sock + f->at[SOCK_FAMILY], &first);
        if (r >= 0)
                memcpy(&family, &first, sizeof(family));
        if (r >= 0 && family != AF_XDP)
                return -ENOENT;
        if (r >= 0)
                r = read_u64(f, sock + f->at[XSK_UMEM], &umem);
        if (r < 0 || umem == 0)
                return r;
        r = read_u64(f, umem + f->at[UMEM_PGS], &pages);
        if (r >= 0)
                r = read_u32(f, umem + f->at[UMEM_NPGS], &n);
        if (r < 0)
                return r;
        return tally_list(f, &(PageList) { .page = pages, .stride = sizeof(uint64_t), .n = n }, t);
}

