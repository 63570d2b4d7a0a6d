/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <sys/socket.h>

#include "kernel/memory/memmap.h"
#include "kernel/pages/file-pages.h"
#include "kernel/process/task-files.h"

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
                const Memmap *m = &f->memmap;
                uint64_t offset = values[i] - m->base;

                /* UINT64_MAX for what points to no page frame of the memmap. */
                f->pages[i] = values[i] < m->base || offset % m->entry_size != 0 ? UINT64_MAX : offset / m->entry_size * m->frame_size;
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

/* tally_ring(), tally_pipe(), tally_xdp(): add the pages that the file with this private data keeps. */
static int tally_ring(FilePages *f, uint64_t ctx, Tally *t) {
        bool nodes = has_fields(f, CTX_BUF_TABLE, NODE_BUF);
        /* Where the table of buffers lies and how long it is. Its elements point to buffers, or to nodes that do. */
        uint64_t table_at = nodes ? ctx + f->at[CTX_BUF_TABLE] + f->at[TABLE_NODES] : ctx + f->at[CTX_USER_BUFS];
        uint64_t n_at = nodes ? ctx + f->at[CTX_BUF_TABLE] + f->at[TABLE_NR] : ctx + f->at[CTX_NR_USER_BUFS];
        uint64_t table, buffer;
        uint32_t n;

        if ((!nodes && !has_fields(f, CTX_USER_BUFS, CTX_NR_USER_BUFS)) || !has_fields(f, BUF_NR_BVECS, BVEC_LEN))
                return -EOPNOTSUPP;
        int r = read_u64(f, table_at, &table);
        if (r >= 0)
                r = read_u32(f, n_at, &n);
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
static int tally_pipe(FilePages *f, uint64_t pipe, Tally *t) {
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

static int tally_xdp(FilePages *f, uint64_t socket, Tally *t) {
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

static const struct {
        const char *name, *member;
} fields[_FIELD_MAX] = {
        [CTX_USER_BUFS] = { "io_ring_ctx", "user_bufs" },       /* up to 6.12 */
        [CTX_NR_USER_BUFS] = { "io_ring_ctx", "nr_user_bufs" },
        [CTX_BUF_TABLE] = { "io_ring_ctx", "buf_table" },       /* since 6.13 */
        [TABLE_NR] = { "io_rsrc_data", "nr" },
        [TABLE_NODES] = { "io_rsrc_data", "nodes" },
        [NODE_BUF] = { "io_rsrc_node", "buf" },
        [BUF_NR_BVECS] = { "io_mapped_ubuf", "nr_bvecs" },
        [BUF_BVEC] = { "io_mapped_ubuf", "bvec" },
        [BVEC_PAGE] = { "bio_vec", "bv_page" },
        [BVEC_LEN] = { "bio_vec", "bv_len" },
        [PIPE_BUFS] = { "pipe_inode_info", "bufs" },
        [PIPE_HEAD] = { "pipe_inode_info", "head" },
        [PIPE_TAIL] = { "pipe_inode_info", "tail" },
        [PIPE_RING_SIZE] = { "pipe_inode_info", "ring_size" },
        [PIPE_BUFFER_PAGE] = { "pipe_buffer", "page" },
        [PIPE_BUFFER_LEN] = { "pipe_buffer", "len" },
        [SOCKET_SK] = { "socket", "sk" },
        [SOCK_FAMILY] = { "sock_common", "skc_family" },
        [XSK_UMEM] = { "xdp_sock", "umem" },
        [UMEM_PGS] = { "xdp_umem", "pgs" },
        [UMEM_NPGS] = { "xdp_umem", "npgs" },
};

static const char *const file_pages_kind_table[_FILE_PAGES_KIND_MAX] = {
        [FILE_PAGES_RING] = "ring",
        [FILE_PAGES_PIPE] = "pipe",
        [FILE_PAGES_XDP] = "xdp",
};

DEFINE_STRING_TABLE(file_pages_kind, FilePagesKind)

/* Since 6.15 pipes without a name have operations of their own (fs/pipe.c:pipeanon_fops). */
static const char *const operations_of[_FILE_PAGES_KIND_MAX][FILE_OPERATIONS_MAX] = {
        [FILE_PAGES_RING] = { "io_uring_fops" },
        [FILE_PAGES_PIPE] = { "pipefifo_fops", "pipeanon_fops" },
        [FILE_PAGES_XDP] = { "socket_file_ops" },
};

void file_pages_free(FilePages *f) {
        if (!f)
                return;
        task_files_done(&f->tasks);
        memmap_done(&f->memmap);
        free(f->pages);
        free(f);
}

static void load_layout(const Btf *btf, FilePages *f) {
        for (size_t i = 0; i < _FIELD_MAX; i++)
                if (btf_member_offset(btf, fields[i].name, fields[i].member, &f->at[i]) < 0)
                        f->at[i] = UINT64_MAX;
        if (btf_struct_size(btf, "bio_vec", &f->bvec_size) < 0)
                f->at[BVEC_PAGE] = UINT64_MAX;
        if (btf_struct_size(btf, "pipe_buffer", &f->pipe_buffer_size) < 0)
                f->at[PIPE_BUFFER_PAGE] = UINT64_MAX;
        for (size_t i = 0; i < _FILE_PAGES_KIND_MAX; i++)
                for (size_t k = 0; k < FILE_OPERATIONS_MAX && operations_of[i][k]; k++)
                        if (kernel_symbol_address(operations_of[i][k], &f->f_op[i][f->n_f_op[i]]) >= 0)
                                f->n_f_op[i]++;
}

int file_pages_open(FilePages **ret, char **ret_why) {
        _cleanup_(file_pages_freep) FilePages *f = calloc(1, sizeof(*f));
        _cleanup_(btf_freep) Btf *btf = NULL;

        if (!f)
                return -ENOMEM;
        f->pages = calloc(KERNEL_MEMORY_VALUES_MAX, sizeof(f->pages[0]));
        if (!f->pages)
                return -ENOMEM;
        int r = memmap_open(&f->memmap, ret_why);
        if (r < 0)
                return r;
        r = btf_load(&btf);
        if (r >= 0)
                r = task_files_load(f->memmap.memory, btf, &f->tasks);
        if (r < 0) {
                *ret_why = strf("the kernel's list of processes cannot be followed: %s", strerror(-r));
                return r;
        }
        load_layout(btf, f);
        *ret = TAKE_PTR(f);
        return 0;
}

int file_pages_in(FilePages *f, int pid, int fd, FilePagesKind kind, const CardMemory *memory, size_t n_memory, FilePagesAnswer *ret) {
        static int (*const tallies[_FILE_PAGES_KIND_MAX])(FilePages *f, uint64_t private, Tally *t) = {
                [FILE_PAGES_RING] = tally_ring,
                [FILE_PAGES_PIPE] = tally_pipe,
                [FILE_PAGES_XDP] = tally_xdp,
        };
        Tally t = { .memory = memory, .n_memory = n_memory };
        uint64_t private;
        int r = -EOPNOTSUPP;

        for (size_t i = 0; i < f->n_f_op[kind] && (i == 0 || r == -ENOENT); i++)
                r = task_file_private(&f->tasks, pid, fd, f->f_op[kind][i], &private);
        if (r >= 0)
                r = tallies[kind](f, private, &t);
        if (r < 0)
                return r == -EFAULT ? -ENOENT : r;
        *ret = (FilePagesAnswer) { .file = private, .bytes = t.bytes };
        return 0;
}
