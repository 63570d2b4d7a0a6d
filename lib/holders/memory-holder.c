/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>

#include "base/clock.h"
#include "base/fileio.h"
#include "base/parse.h"
#include "holders/memory-holder.h"
#include "holders/numa-maps.h"
#include "holders/process.h"
#include "holders/process-roll.h"

static void holder_done(MemoryHolder *h) {
        free(h->comm);
        free(h->exe);
        free(h->unit);
}

void memory_holders_free(MemoryHolders *h) {
        if (!h)
                return;
        for (size_t i = 0; i < h->n_items; i++)
                holder_done(&h->items[i]);
        free(h->items);
        free(h);
}

/* A process that ended is no holder, and not one that could not be looked at either. */
static bool has_ended(int error) {
        return error == -ENOENT || error == -ESRCH;
}

/* Everything is read through one descriptor of /proc/PID: should the number be given to another process meanwhile, the
 * reads fail instead of telling about that one. */
static int read_holder(int dirfd, int pid, const NumaUse *use, MemoryHolders *holders) {
        int r = vec_grow((void **) &holders->items, holders->n_items, &holders->n_allocated, sizeof(MemoryHolder));
        if (r < 0)
                return r;

        MemoryHolder h = { .pid = pid, .bytes = use->bytes, .bound = use->bound };
        r = process_start_time(dirfd, &h.start_time);
        if (r >= 0)
                r = process_uid(dirfd, &h.uid);
        if (r >= 0)
                r = process_comm(dirfd, &h.comm);
        if (r >= 0)
                r = process_exe(dirfd, &h.exe);
        if (r >= 0)
                r = process_unit(dirfd, &h.unit);
        if (r < 0) {
                holder_done(&h);
                return r;
        }

        holders->items[holders->n_items++] = h;
        return 0;
}

static int scan_process(int proc, const char *name, const int *nodes, size_t n, uint64_t deadline, MemoryHolders *holders) {
        NumaUse use = { 0 };
        uint64_t pid;

        if (parse_u64(name, &pid) < 0)
                return 0;
        _cleanup_close_ int dirfd = openat(proc, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (dirfd < 0)
                return -errno;

        int r = numa_maps_use_of(dirfd, nodes, n, deadline, &use);
        if (r > 0)
                holders->complete = false;
        if (r < 0 || (use.bytes == 0 && !use.bound))
                return r;
        return read_holder(dirfd, (int) pid, &use, holders);
}

static int compare(const void *a, const void *b) {
        const MemoryHolder *x = a, *y = b;

        if (x->bytes != y->bytes)
                return x->bytes < y->bytes ? 1 : -1;
        return x->pid < y->pid ? -1 : x->pid > y->pid;
}

static int scan_all(const int *nodes, size_t n, uint64_t deadline, MemoryHolders *to) {
        _cleanup_(process_roll_done) ProcessRoll roll = { 0 };
        char name[NAME_MAX + 1];

        int r = process_roll_begin(&roll);
        while (r >= 0 && (r = process_roll_next(&roll, name)) > 0) {
                if (now_monotonic() >= deadline) {
                        to->complete = false;
                        return 0;
                }
                r = scan_process(dirfd(roll.proc), name, nodes, n, deadline, to);
                if (r < 0 && r != -ENOMEM) {
                        to->complete = to->complete && has_ended(r);
                        r = 0;
                }
        }
        return r;
}

int memory_holders_scan(const int *nodes, size_t n, uint64_t budget_usec, MemoryHolders **ret) {
        uint64_t deadline = budget_usec > 0 ? now_monotonic() + budget_usec : UINT64_MAX;

        _cleanup_(memory_holders_freep) MemoryHolders *holders = calloc(1, sizeof(*holders));
        if (!holders)
                return -ENOMEM;
        holders->complete = true;
        int r = scan_all(nodes, n, deadline, holders);
        if (r < 0)
                return r;

        if (holders->n_items > 1)
                qsort(holders->items, holders->n_items, sizeof(MemoryHolder), compare);
        *ret = TAKE_PTR(holders);
        return 0;
}

json_object *memory_holder_to_json(const MemoryHolder *h) {
        json_object *o = json_object_new_object();

        json_set_str(o, "kind", "memory");
        json_set_u64(o, "pid", (uint64_t) h->pid);
        json_set_u64(o, "start_time", h->start_time);
        json_set_str(o, "comm", h->comm);
        json_set_str(o, "exe", h->exe);
        json_set_str(o, "unit", h->unit);
        json_set_u64(o, "uid", h->uid);
        json_set_u64(o, "bytes", h->bytes);
        json_set_bool(o, "bound", h->bound);
        return o;
}
