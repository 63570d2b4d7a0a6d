/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <linux/bpf.h>

#include "base/util.h"

/* bpf(2), as far as programs of type `syscall` need it. */

enum {
        BPF_LOG_SIZE = 64 * 1024,
};

static inline uint64_t bpf_pointer(const void *p) {
        return (uint64_t) (uintptr_t) p;
}

/* A descriptor or what else the command returns, or a negative errno. */
int bpf_call(enum bpf_cmd command, union bpf_attr *attr);

/* The descriptor of a program. A program of several functions has them described in types_fd (NULL, 0, -1: one function). `log` may be
 * NULL or takes BPF_LOG_SIZE bytes of what the verifier has to say. */
int bpf_load_program(const struct bpf_insn *insns, size_t n, const struct bpf_func_info *functions, size_t n_functions,
                     int types_fd, char *log);

/* Runs it once; the context is read and written. */
int bpf_run_program(int prog_fd, void *context, size_t size, uint32_t *ret_value);
