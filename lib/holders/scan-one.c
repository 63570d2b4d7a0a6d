/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>

#include "holders/scan.h"

static void scan_done(Scan *s) {
        protection_done(&s->protection);
}

int holders_scan_process(const HoldTargets *targets, int pid, Holders **ret) {
        _cleanup_close_ int proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
        _cleanup_(holders_freep) Holders *holders = calloc(1, sizeof(*holders));
        _cleanup_free_ char *name = strf("%d", pid);
        if (!holders || !name)
                return -ENOMEM;
        if (proc < 0)
                return -errno;
        holders->complete = true;

        _cleanup_(scan_done) Scan s = { .targets = targets, .deadline = UINT64_MAX, .holders = holders };
        for (size_t i = 0; i < targets->n_items; i++)
                s.wants[targets->items[i].kind] = true;

        int r = protection_find(targets, &s.protection);
        if (r >= 0)
                r = scan_process(&s, proc, name);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(holders);
        return 0;
}
