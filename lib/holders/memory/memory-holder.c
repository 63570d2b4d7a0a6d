/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>

#include "base/clock.h"
#include "base/fileio.h"
#include "base/parse.h"
#include "holders/memory/memory-holder.h"
#include "holders/memory/numa-maps.h"
#include "holders/process.h"
#include "holders/scan/scan-crew.h"

static void holder_done(MemoryHolder *h) {
        free(h->comm);
        free(h->exe);
        free(h->unit);
}

static void holders_done(MemoryHolders *h) {
        for (size_t i = 0; i < h->n_items; i++)
                holder_done(&h->items[i]);
        free(h->items);
}

void memory_holders_free(MemoryHolders *h) {
        if (!h)
                return;
        holders_done(h);
        free(h);
}

/* A process that ended is no holder, and not one that could not be looked at either. */
static bool has_ended(int error) {
        return error == -ENOENT || error == -ESRCH;
}

/* Everything is read through one descriptor of /proc/PID: should the number be given to another process meanwhile, the
 * reads fail instead of telling about that one. */
static int read_holder(int dirfd, int shared, int pid, const NumaUse *use, MemoryHolders *holders) {
        int r = vec_grow((void **) &holders->items, holders->n_items, &holders->n_allocated, sizeof(MemoryHolder));
        if (r < 0)
                return r;

        MemoryHolder h = { .pid = pid, .bytes = use->bytes, .bound = use->bound, .named = use->named };
        r = process_start_time(dirfd, &h.start_time);
        if (r >= 0)
                r = process_user(dirfd, &h.uid, &h.hidden);
        if (r >= 0)
                r = process_comm(dirfd, &h.comm);
        if (r >= 0)
                r = process_exe(shared, &h.exe);
        if (r >= 0)
                r = process_unit(shared, &h.unit);
        if (r < 0) {
                holder_done(&h);
                return r;
        }

        holders->items[holders->n_items++] = h;
        return 0;
}

typedef struct Whole {
        int *nodes;
        size_t n;
        bool policies; /* are asked for, and not pages */
        MemoryHolders found;
} Whole;

typedef struct Part {
        const Whole *whole;
        uint64_t deadline;
        MemoryHolders found;
} Part;

static void whole_free(void *whole) {
        Whole *w = whole;

        holders_done(&w->found);
        free(w->nodes);
        free(w);
}

static int begin(void *part, void *whole, uint64_t deadline) {
        *(Part *) part = (Part) { .whole = whole, .deadline = deadline };
        return 0;
}

static void end(void *part) {
        holders_done(&((Part *) part)->found);
}

static int scan_process(Part *p, int proc, const char *name, int pid) {
        NumaUse use = { 0 };

        _cleanup_close_ int dirfd = openat(proc, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (dirfd < 0)
                return -errno;
        _cleanup_close_ int living = -EBADF;
        int r = process_open_living(dirfd, &living), shared = process_shared(dirfd, living);
        if (r >= 0)
                r = numa_maps_use_of(shared, p->whole->nodes, p->whole->n, p->deadline, &use);
        if (r > 0)
                gap_note(&p->found.gaps, GAP_TIME, 0, 0);
        if (r < 0 || !(use.named || (!p->whole->policies && (use.bytes > 0 || use.bound))))
                return r;
        return read_holder(dirfd, shared, pid, &use, &p->found);
}

static int look(void *part, int proc, const char *name) {
        Part *p = part;
        uint64_t pid = 0;

        int r = parse_u64(name, &pid);
        if (r >= 0)
                r = scan_process(p, proc, name, (int) pid);
        if (r == -ENOMEM)
                return r;
        if (r < 0 && !has_ended(r))
                gap_note(&p->found.gaps, GAP_PROCESS, (int) pid, r);
        return 0;
}

static int hand_over(void *part, void *whole) {
        MemoryHolders *from = &((Part *) part)->found, *to = &((Whole *) whole)->found;

        for (; from->n_items > 0; from->n_items--) {
                int r = vec_grow((void **) &to->items, to->n_items, &to->n_allocated, sizeof(MemoryHolder));
                if (r < 0)
                        return r;
                to->items[to->n_items++] = from->items[from->n_items - 1];
        }
        gaps_add(&to->gaps, &from->gaps);
        from->gaps = (Gaps) { 0 };
        return 0;
}

static int compare(const void *a, const void *b) {
        const MemoryHolder *x = a, *y = b;

        if (x->bytes != y->bytes)
                return x->bytes < y->bytes ? 1 : -1;
        return x->pid < y->pid ? -1 : x->pid > y->pid;
}

static void take(void *whole, const Gaps *gaps, void *ret) {
        MemoryHolders *from = &((Whole *) whole)->found, *to = ret;

        *to = *from;
        gaps_add(&to->gaps, gaps);
        *from = (MemoryHolders) { 0 };
}

static int scan(const int *nodes, size_t n, bool policies, uint64_t budget_usec, MemoryHolders **ret) {
        static const CrewWork work = {
                .part_size = sizeof(Part), .begin = begin, .look = look, .hand_over = hand_over, .end = end, .take = take, .free = whole_free,
        };
        uint64_t deadline = budget_usec > 0 ? now_monotonic() + budget_usec : UINT64_MAX;

        _cleanup_(memory_holders_freep) MemoryHolders *holders = calloc(1, sizeof(*holders));
        Whole *w = holders ? calloc(1, sizeof(*w)) : NULL;
        if (!w)
                return -ENOMEM;
        *w = (Whole) { .nodes = calloc(n, sizeof(int)), .n = n, .policies = policies };
        if (!w->nodes) {
                whole_free(w);
                return -ENOMEM;
        }
        memcpy(w->nodes, nodes, n * sizeof(int));
        int r = crew_run(&work, w, deadline, 0, holders);
        if (r < 0)
                return r;

        if (holders->n_items > 1)
                qsort(holders->items, holders->n_items, sizeof(MemoryHolder), compare);
        *ret = TAKE_PTR(holders);
        return 0;
}

int memory_holders_scan(const int *nodes, size_t n, uint64_t budget_usec, MemoryHolders **ret) {
        return scan(nodes, n, false, budget_usec, ret);
}

bool memory_holder_uses(const MemoryHolder *h) {
        return h->bytes > 0 || h->bound;
}

int memory_policies_scan(int node, uint64_t budget_usec, MemoryHolders **ret) {
        return scan(&node, 1, true, budget_usec, ret);
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
        if (h->hidden)
                json_set_bool(o, "hidden", true);
        json_set_u64(o, "bytes", h->bytes);
        json_set_bool(o, "bound", h->bound);
        json_set_bool(o, "in_policy", h->named);
        return o;
}
