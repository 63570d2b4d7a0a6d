/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "base/clock.h"
#include "holders/scan-crew.h"

enum {
        /* A process that changes its program or ends in the wrong moment cannot be looked at; the next look passes it by. */
        LOOKS_MAX = 5,
};

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
        uint64_t deadline = budget_usec > 0 ? now_monotonic() + budget_usec : UINT64_MAX;

        for (unsigned n = 1;; n++) {
                _cleanup_(holders_freep) Holders *found = NULL;
                uint64_t now = now_monotonic();

                int r = holders_scan_by(MAPS_BEST, targets, budget_usec == 0 ? 0 : now < deadline ? deadline - now : 1, &found);
                if (r < 0)
                        return r;
                if (found->complete || n >= LOOKS_MAX || now_monotonic() >= deadline) {
                        *ret = TAKE_PTR(found);
                        return 0;
                }
        }
}
