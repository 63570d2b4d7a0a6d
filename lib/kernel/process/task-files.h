/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/id-map.h"
#include "kernel/memory/kernel-memory.h"
#include "kernel/pages/btf.h"

/* From a process and one of its descriptors to what the kernel keeps of the open file. Nothing is locked: what is read may be gone
 * already, which harms nobody, and every answer has to be checked by what it leads to. */
typedef struct TaskFiles {
        KernelMemory *memory;           /* borrowed */
        struct {
                uint64_t tasks, tgid, files, fdt, max_fds, fd, f_op, private_data;
        } at;
        uint64_t *tasks;
        size_t n_tasks, n_allocated;
        IdMap by_pid;                   /* places in it: anybody may have many processes, and many descriptors in each */
} TaskFiles;

void task_files_done(TaskFiles *t);

/* Notes where all processes are. -EOPNOTSUPP when that does not work here: in a process id namespace, for one, where our numbers are
 * not the kernel's. */
int task_files_load(KernelMemory *memory, const Btf *btf, TaskFiles *ret);

/* The private data of the file behind a descriptor, when its operations are those at `f_op`. -ENOENT otherwise. */
int task_file_private(const TaskFiles *t, int pid, int fd, uint64_t f_op, uint64_t *ret);
