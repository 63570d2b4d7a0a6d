/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/util.h"

/* Reads of the kernel's own memory, where it lets us: by a BPF program of type `syscall` (5.17), which can follow any address
 * without harm. Needs CAP_BPF and CAP_PERFMON (or CAP_SYS_ADMIN), and CAP_SYSLOG for symbols; closed by lockdown=confidentiality. */
typedef struct KernelMemory KernelMemory;

enum {
        KERNEL_MEMORY_VALUES_MAX = 65536,
};

void kernel_memory_free(KernelMemory *m);
DEFINE_CLEANUP_FUNC(KernelMemory, kernel_memory_free)

/* 0, or a negative errno with *ret_why for a person: what keeps us from reading. */
int kernel_memory_open(KernelMemory **ret, char **ret_why);

/* Reads n (up to KERNEL_MEMORY_VALUES_MAX) words of 8 bytes, the first at `address`, each `stride` bytes after the one before.
 * *ret_values is valid until the next call. -EFAULT when there is no memory at one of the addresses. */
int kernel_memory_gather(KernelMemory *m, uint64_t address, uint64_t stride, size_t n, const uint64_t **ret_values);

/* One value. */
int kernel_memory_u64(KernelMemory *m, uint64_t address, uint64_t *ret);
int kernel_memory_u32(KernelMemory *m, uint64_t address, uint32_t *ret);

/* Where a variable of the kernel's lies. -ENOENT without such a symbol; -EPERM when the kernel does not say (kernel.kptr_restrict). */
int kernel_symbol_address(const char *name, uint64_t *ret);
