/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "kernel/pages/file-pages-tally.h"

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
