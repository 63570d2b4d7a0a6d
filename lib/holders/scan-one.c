/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>

#include "holders/scan.h"

int holders_scan_process(const HoldTargets *targets, int pid, Holders **ret) {
        _cleanup_(protection_done) Protection protection = { 0 };
        _cleanup_(holders_freep) Holders *holders = calloc(1, sizeof(*holders));
        _cleanup_close_ int proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
        _cleanup_free_ char *name = strf("%d", pid);
        if (!holders || !name)
                return -ENOMEM;
        if (proc < 0)
                return -errno;
        holders->complete = true;

        int r = protection_find(targets, &protection);
        if (r < 0)
                return r;
        _cleanup_(scan_done) Scan s = { 0 };
        r = scan_init(&s, targets, &protection, MAPS_BEST, UINT64_MAX);
        if (r >= 0)
                r = scan_process(&s, proc, name);
        if (r >= 0)
                r = holders_move(holders, &s.holders);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(holders);
        return 0;
}
