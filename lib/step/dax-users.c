/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "holders/present.h"
#include "kernel/attr.h"
#include "kernel/page-census.h"
#include "kernel/quirks.h"
#include "step/dax-users.h"
#include "step/users.h"

static int no_pins(StepRun *run, const char *dax) {
        _cleanup_(census_result_done) CensusResult census = { 0 };
        _cleanup_free_ char *text = NULL;
        uint64_t start, size;

        int r = attr_read_u64f(&start, "/sys/bus/dax/devices/%s/resource", dax);
        if (r >= 0)
                r = attr_read_u64f(&size, "/sys/bus/dax/devices/%s/size", dax);
        if (r >= 0)
                r = page_census(start, size, CENSUS_DEVICE_DAX, &census);
        if (r < 0)
                return step_fail(run, r, "the pages of %s cannot be counted: %s", dax, strerror(-r));
        if (census.verdict == CENSUS_CLEAN)
                return 0;
        text = census_result_text(&census);
        return step_fail(run, -EBUSY, "%s cannot be taken by force: %s", dax, text ?: "pinned pages");
}

int dax_may_go(StepRun *run, const char *dax, bool force, dev_t *ret_dev) {
        _cleanup_free_ char *why = NULL, *users = NULL;

        *ret_dev = 0;
        int r = step_dax_number(run, dax, ret_dev);
        if (r <= 0)
                return r;
        r = step_dax_unused(run, dax);
        if (r != -EBUSY || !force)
                return r;
        if (forced_unmap_check(FORCED_DEVICE_DAX, NULL, &why) < 0) {
                users = run->why ? strdup(run->why) : NULL;
                return step_fail(run, -EBUSY, "%s; taking it by force: %s", users ?: dax, why);
        }
        r = no_pins(run, dax);
        if (r >= 0)
                free(TAKE_PTR(run->why)); /* who uses it is no reason any more */
        return r;
}

int dax_zapped(StepRun *run, const char *dax, dev_t dev) {
        _cleanup_(holders_freep) Holders *holders = NULL;

        int r = step_scan(TARGET_CHAR, dev, dax, &holders);
        for (size_t i = 0; i < (holders ? holders->n_items : 0) && r >= 0; i++) {
                const Holder *h = &holders->items[i];
                uint64_t pages = 0;

                r = holder_pages_present(h, dev, &pages);
                if (r == -ESRCH)
                        r = 0;
                if (r >= 0 && pages > 0)
                        return step_fail(run, -EIO, "process %d (%s) still has %ju pages of %s: the kernel did not take them", h->pid, h->comm,
                                         (uintmax_t) pages, dax);
        }
        return r < 0 ? step_fail(run, r, "whether the mappings of %s are gone cannot be seen: %s", dax, strerror(-r)) : 0;
}
