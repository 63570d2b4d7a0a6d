/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "kernel/process/task-files.h"
#include "kernel/process/user-ns.h"

enum {
        /* More processes than a kernel has numbers for (PID_MAX_LIMIT): then we went astray. */
        TASKS_MAX = 4 * 1024 * 1024,
        TRIES = 3,
};

void task_files_done(TaskFiles *t) {
        free(TAKE_PTR(t->tasks));
        t->n_tasks = t->n_allocated = 0;
        id_map_done(&t->by_pid);
}

static int load_layout(const Btf *btf, TaskFiles *t) {
        const struct {
                const char *name, *member;
                uint64_t *ret;
        } members[] = {
                { "task_struct", "tasks", &t->at.tasks },
                { "task_struct", "tgid", &t->at.tgid },
                { "task_struct", "files", &t->at.files },
                { "files_struct", "fdt", &t->at.fdt },
                { "fdtable", "max_fds", &t->at.max_fds },
                { "fdtable", "fd", &t->at.fd },
                { "file", "f_op", &t->at.f_op },
                { "file", "private_data", &t->at.private_data },
        };

        for (size_t i = 0; i < ELEMENTSOF(members); i++) {
                int r = btf_member_offset(btf, members[i].name, members[i].member, members[i].ret);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* Both words of one process in one go: where the next one is, and its number. */
static int read_task(const TaskFiles *t, uint64_t task, uint64_t *ret_next, int *ret_pid) {
        const uint64_t *values;
        int32_t pid;

        int r = kernel_memory_gather(t->memory, task + t->at.tasks, t->at.tgid - t->at.tasks, 2, &values);
        if (r < 0)
                return r;
        memcpy(&pid, &values[1], sizeof(pid));
        *ret_pid = pid;
        *ret_next = values[0] - t->at.tasks;
        return 0;
}

/* Along the ring of all processes. One that ends while we are there may lead into memory that is used anew: then once more. */
static int load_tasks(TaskFiles *t, uint64_t init_task) {
        uint64_t task = init_task;

        t->n_tasks = 0;
        id_map_done(&t->by_pid);
        do {
                uint64_t next;
                int pid;

                int r = read_task(t, task, &next, &pid);
                if (r < 0 || pid < 0 || t->n_tasks >= TASKS_MAX)
                        return r == -ENOMEM ? r : -ESTALE;
                r = vec_grow((void **) &t->tasks, t->n_tasks, &t->n_allocated, sizeof(t->tasks[0]));
                if (r >= 0)
                        r = id_map_add(&t->by_pid, (uint64_t) pid, t->n_tasks);
                if (r < 0)
                        return r;
                t->tasks[t->n_tasks++] = task;
                task = next;
        } while (task != init_task);
        return 0;
}

int task_files_load(KernelMemory *memory, const Btf *btf, TaskFiles *ret) {
        _cleanup_(task_files_done) TaskFiles t = { .memory = memory };
        uint64_t init_task;

        if (!pid_ns_is_first())
                return -EOPNOTSUPP;
        int r = load_layout(btf, &t);
        if (r >= 0)
                r = kernel_symbol_address("init_task", &init_task);
        if (r < 0)
                return -EOPNOTSUPP;

        r = load_tasks(&t, init_task);
        for (int i = 1; i < TRIES && r == -ESTALE; i++)
                r = load_tasks(&t, init_task);
        if (r < 0)
                return r == -ESTALE ? -EOPNOTSUPP : r;
        *ret = t;
        t = (TaskFiles) { 0 };
        return 0;
}

static int find_task(const TaskFiles *t, int pid, uint64_t *ret) {
        size_t i;

        if (!id_map_find(&t->by_pid, (uint64_t) pid, &i))
                return -ENOENT;
        *ret = t->tasks[i];
        return 0;
}

int task_file_private(const TaskFiles *t, int pid, int fd, uint64_t f_op, uint64_t *ret) {
        uint64_t at, operations;
        uint32_t max_fds;

        int r = find_task(t, pid, &at);
        if (r >= 0)
                r = kernel_memory_u64(t->memory, at + t->at.files, &at);
        if (r >= 0)
                r = kernel_memory_u64(t->memory, at + t->at.fdt, &at);
        if (r >= 0)
                r = kernel_memory_u32(t->memory, at + t->at.max_fds, &max_fds);
        if (r >= 0 && (fd < 0 || (uint32_t) fd >= max_fds))
                r = -ENOENT;
        if (r >= 0)
                r = kernel_memory_u64(t->memory, at + t->at.fd, &at);
        if (r >= 0)
                r = kernel_memory_u64(t->memory, at + (uint64_t) fd * sizeof(uint64_t), &at);
        if (r >= 0)
                r = kernel_memory_u64(t->memory, at + t->at.f_op, &operations);
        if (r >= 0 && operations != f_op)
                r = -ENOENT;
        if (r >= 0)
                r = kernel_memory_u64(t->memory, at + t->at.private_data, ret);
        return r == -EFAULT ? -ENOENT : r;
}
