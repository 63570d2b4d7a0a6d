/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "base/clock.h"
#include "holders/scan/scan.h"
#include "holders/scan/scan-crew.h"

enum {
        /* At one process: longer than any look takes that comes back. */
        ONE_SEC = 10,
};

typedef struct Whole {
        HoldTargets targets;
        Protection protection;
        ScanWay way;
        Holders found;
} Whole;

static void whole_free(void *whole) {
        Whole *w = whole;

        hold_targets_done(&w->targets);
        protection_done(&w->protection);
        holders_clear(&w->found);
        free(w);
}

static int begin(void *part, void *whole, uint64_t deadline) {
        const Whole *w = whole;

        return scan_init(part, &w->targets, &w->protection, w->way.maps, deadline);
}

static void leave_out(void *whole, uint64_t deadline, ProcessRoll *roll) {
        const Whole *w = whole;

        (void) scan_filter(&w->targets, w->way.filter, deadline, roll);
}

static int look(void *part, int proc, const char *name) {
        return scan_process(part, proc, name);
}

static int look_at_files(void *part, int proc, const char *name) {
        Scan *s = part;

        s->files_only = true;
        int r = scan_process(s, proc, name);
        s->files_only = false;
        return r;
}

static int hand_over(void *part, void *whole) {
        Scan *s = part;
        Whole *w = whole;

        return holders_move(&w->found, &s->holders);
}

static void end(void *part) {
        scan_done(part);
}

static void take(void *whole, const Gaps *gaps, void *ret) {
        Whole *w = whole;
        Holders *to = ret;

        *to = w->found;
        gaps_add(&to->gaps, gaps);
        w->found = (Holders) { 0 };
}

static int start(ScanWay way, const HoldTargets *targets, uint64_t deadline, int pid, Crew **ret) {
        static const CrewWork work = {
                .part_size = sizeof(Scan), .leave_out = leave_out, .begin = begin, .look = look, .look_at_files = look_at_files,
                .hand_over = hand_over, .end = end, .take = take, .free = whole_free,
        };
        Whole *w = calloc(1, sizeof(*w));
        if (!w)
                return -ENOMEM;
        w->way = way;

        int r = hold_targets_copy(targets, &w->targets);
        if (r >= 0)
                r = protection_find(&w->targets, &w->protection);
        if (r < 0) {
                whole_free(w);
                return r;
        }
        return crew_start(&work, w, deadline, pid, ret);
}

static int compare(const void *a, const void *b) {
        const Holder *x = a, *y = b;

        return x->pid < y->pid ? -1 : x->pid > y->pid;
}

struct HoldersScan {
        Crew *crew;
        Holders *holders;
};

static int begin_by(ScanWay way, const HoldTargets *targets, uint64_t deadline, int pid, HoldersScan **ret) {
        HoldersScan *s = calloc(1, sizeof(*s));
        if (!s)
                return -ENOMEM;
        s->holders = calloc(1, sizeof(*s->holders));
        int r = s->holders ? start(way, targets, deadline, pid, &s->crew) : -ENOMEM;
        if (r < 0) {
                free(s->holders);
                free(s);
                return r;
        }
        *ret = s;
        return 0;
}

static uint64_t deadline_of(uint64_t budget_usec) {
        return budget_usec > 0 ? now_monotonic() + budget_usec : UINT64_MAX;
}

int holders_scan_begin(const HoldTargets *targets, uint64_t budget_usec, HoldersScan **ret) {
        return begin_by((ScanWay) { 0 }, targets, deadline_of(budget_usec), 0, ret);
}

int holders_scan_end(HoldersScan *scan, Holders **ret) {
        _cleanup_(holders_freep) Holders *holders = scan->holders;

        int r = crew_end(scan->crew, holders);
        free(scan);
        if (r < 0)
                return r;
        if (holders->n_items > 1)
                qsort(holders->items, holders->n_items, sizeof(Holder), compare);
        *ret = TAKE_PTR(holders);
        return 0;
}

int holders_scan_by(ScanWay way, const HoldTargets *targets, uint64_t budget_usec, Holders **ret) {
        HoldersScan *s = NULL;

        int r = begin_by(way, targets, deadline_of(budget_usec), 0, &s);
        return r < 0 ? r : holders_scan_end(s, ret);
}

int holders_scan(const HoldTargets *targets, uint64_t budget_usec, Holders **ret) {
        return holders_scan_by((ScanWay) { 0 }, targets, budget_usec, ret);
}

int holders_scan_process(const HoldTargets *targets, int pid, Holders **ret) {
        HoldersScan *s = NULL;

        int r = begin_by((ScanWay) { 0 }, targets, now_monotonic() + ONE_SEC * USEC_PER_SEC, pid, &s);
        return r < 0 ? r : holders_scan_end(s, ret);
}
