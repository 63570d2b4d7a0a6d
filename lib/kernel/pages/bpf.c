/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <sys/syscall.h>

#include "kernel/pages/bpf.h"

int bpf_call(enum bpf_cmd command, union bpf_attr *attr) {
        long r = syscall(SYS_bpf, command, attr, sizeof(*attr));

        return r < 0 ? -errno : (int) r;
}

/* The kernel offers its reading functions to programs under the GPL only; the GPL may be chosen for what is under the LGPL. */
int bpf_load_program(const struct bpf_insn *insns, size_t n, const struct bpf_func_info *functions, size_t n_functions,
                     int types_fd, char *log) {
        union bpf_attr attr = {
                .prog_type = BPF_PROG_TYPE_SYSCALL,
                .insns = bpf_pointer(insns), .insn_cnt = (uint32_t) n,
                .license = bpf_pointer("GPL"),
                .prog_flags = BPF_F_SLEEPABLE,
                .prog_name = "safe_remove",
                .log_level = log ? 1 : 0, .log_buf = bpf_pointer(log), .log_size = log ? BPF_LOG_SIZE : 0,
        };

        if (functions) {
                attr.prog_btf_fd = (uint32_t) types_fd;
                attr.func_info_rec_size = sizeof(*functions);
                attr.func_info = bpf_pointer(functions);
                attr.func_info_cnt = (uint32_t) n_functions;
        }
        return bpf_call(BPF_PROG_LOAD, &attr);
}

int bpf_run_program(int prog_fd, void *context, size_t size, uint32_t *ret_value) {
        union bpf_attr attr = {
                .test = { .prog_fd = (uint32_t) prog_fd, .ctx_in = bpf_pointer(context), .ctx_size_in = (uint32_t) size },
        };

        int r = bpf_call(BPF_PROG_RUN, &attr);
        if (r < 0)
                return r;
        *ret_value = attr.test.retval;
        return 0;
}
