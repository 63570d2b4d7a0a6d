/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "base/clock.h"
#include "holders/scan-crew.h"

static int compare(const void *a, const void *b) {
        const Holder *x = a, *y = b;

        return x->pid < y->pid ? -1 : x->pid > y->pid;
}

int holders_scan_by(MapsWay way, const HoldTargets *targets, uint64_t budget_usec, Holders **ret) {
        uint64_t deadline = budget_usec > 0 ? now_monotonic() + budget_usec : UINT64_MAX;
        Crew *crew;

        _cleanup_(holders_freep) Holders *holders = calloc(1, sizeof(*holders));
        if (!holders)
                return -ENOMEM;
        int r = crew_start(targets, way, deadline, &crew);
        if (r >= 0)
                r = crew_end(crew, holders);
        if (r < 0)
                return r;

        if (holders->n_items > 1)
                qsort(holders->items, holders->n_items, sizeof(Holder), compare);
        *ret = TAKE_PTR(holders);
        return 0;
}

int holders_scan(const HoldTargets *targets, uint64_t budget_usec, Holders **ret) {
        return holders_scan_by(MAPS_BEST, targets, budget_usec, ret);
}
