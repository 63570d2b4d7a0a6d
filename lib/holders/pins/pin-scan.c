/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>

#include "base/clock.h"
#include "base/fileio.h"
#include "base/parse.h"
#include "holders/pins/pin-scan.h"
#include "holders/process.h"
#include "holders/scan/process-roll.h"

enum {
        RDMA_TIMEOUT_USEC = 2 * 1000 * 1000,
};

static void look_done(PinLook *l) {
        for (size_t i = 0; i < _PIN_KIND_MAX; i++)
                free(l->evidence[i].found);
        id_map_done(&l->files);
        closep(&l->dirfd);
        closep(&l->living);
}

/* Whoever ended, and what was closed meanwhile, pins nothing; what else goes wrong makes the scan incomplete. -ENOMEM or 0. */
int pin_scan_note(PinScan *s, int pid, int error) {
        if (error == -ENOMEM)
                return error;
        if (error == -ETIME)
                gap_note_time(&s->pins->gaps, 1, false, 0);
        else if (error < 0 && error != -ENOENT && error != -ESRCH)
                gap_note(&s->pins->gaps, GAP_PROCESS, pid, error);
        return 0;
}

static int identify(PinLook *l, Holder *ret) {
        _cleanup_(holder_done) Holder h = { .pid = l->pid };
        ProcessStat st;

        int r = process_stat(l->dirfd, &st);
        if (r >= 0)
                r = process_user(l->dirfd, &h.uid, &h.hidden);
        if (r >= 0)
                r = process_comm(l->dirfd, &h.comm);
        if (r >= 0)
                r = process_exe(pin_look_shared(l), &h.exe);
        if (r >= 0)
                r = process_unit_and_cgroup(pin_look_shared(l), &h.unit, &h.cgroup);
        if (r < 0)
                return r;
        h.start_time = st.start_time;
        h.protected = protection_covers(&l->scan->protection, l->pid, &st, h.unit);
        *ret = h;
        h = (Holder) { 0 };
        return 0;
}

static int add_pins(PinLook *l) {
        Pins *pins = l->scan->pins;

        for (int kind = 0; kind < _PIN_KIND_MAX; kind++) {
                Evidence *e = &l->evidence[kind];
                Pin pin = { .kind = (PinKind) kind, .grade = e->grade, .bytes = e->bytes };

                if (!e->found)
                        continue;
                int r = vec_grow((void **) &pins->items, pins->n_items, &pins->n_allocated, sizeof(pin));
                if (r >= 0)
                        r = identify(l, &pin.who);
                if (r < 0)
                        return r;
                pin.found = TAKE_PTR(e->found);
                pins->items[pins->n_items++] = pin;
        }
        return 0;
}

/* Kernel threads have no memory of their own, and processes that have ended none any more. */
static int scan_process(PinScan *s, int proc, const char *name, int pid) {
        _cleanup_(look_done) PinLook l = { .scan = s, .pid = pid, .dirfd = -EBADF, .living = -EBADF };

        if (pid == getpid())
                return 0;
        l.dirfd = openat(proc, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (l.dirfd < 0)
                return -errno;
        int r = process_open_living(l.dirfd, &l.living);
        if (r >= 0)
                r = pin_look_at_process(&l);
        return r < 0 ? r : add_pins(&l);
}

static int scan_all(PinScan *s) {
        _cleanup_(process_roll_done) ProcessRoll roll = { 0 };
        char name[NAME_MAX + 1];
        uint64_t pid;

        int r = process_roll_begin(&roll);
        while (r >= 0 && (r = process_roll_next(&roll, name)) > 0) {
                if (now_monotonic() >= s->deadline) {
                        process_roll_over(&roll, &s->pins->gaps);
                        return 0;
                }
                r = parse_u64(name, &pid);
                if (r >= 0)
                        r = pin_scan_note(s, (int) pid, scan_process(s, dirfd(roll.proc), name, (int) pid));
        }
        return r;
}

static void scan_done(PinScan *s) {
        protection_done(&s->protection);
        rdma_regions_done(&s->rdma);
        file_pages_free(s->files);
}

static int compare(const void *a, const void *b) {
        const Pin *x = a, *y = b;

        return x->grade != y->grade ? (int) x->grade - (int) y->grade : x->who.pid != y->who.pid ? x->who.pid - y->who.pid :
               (int) x->kind - (int) y->kind;
}

int pins_scan(const CardMemory *memory, size_t n_memory, const HoldTargets *targets, const Holders *holders, uint64_t budget_usec,
              Pins **ret) {
        static const HoldTargets nothing = { 0 };
        _cleanup_(pins_freep) Pins *pins = calloc(1, sizeof(*pins));
        if (!pins)
                return -ENOMEM;
        _cleanup_(scan_done) PinScan s = {
                .memory = memory, .n_memory = n_memory, .holders = holders, .pins = pins,
                .deadline = budget_usec > 0 ? now_monotonic() + budget_usec : UINT64_MAX,
        };

        int r = file_pages_open(&s.files, &pins->why_inexact);
        pins->exact = r >= 0;
        if (r != -ENOMEM)
                r = protection_find(targets ?: &nothing, &s.protection);
        if (r >= 0)
                r = rdma_regions_load(RDMA_TIMEOUT_USEC, &s.rdma);
        if (r < 0 && r != -ENOMEM) {
                if (r != -ENOENT && r != -ESRCH)
                        gap_note(&pins->gaps, GAP_RDMA, 0, r);
                r = 0;
        }
        if (r >= 0)
                r = scan_all(&s);
        if (r < 0)
                return r;
        if (pins->n_items > 1)
                qsort(pins->items, pins->n_items, sizeof(Pin), compare);
        *ret = TAKE_PTR(pins);
        return 0;
}
