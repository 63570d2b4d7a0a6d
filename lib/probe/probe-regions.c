/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "base/fileio.h"
#include "kernel/sysfs/attr.h"
#include "probe/probe.h"

static int ask(json_object *scope, char **ret_answer) {
        if (scope_is_blind(scope, ret_answer))
                return 0;

        _cleanup_(closedirp) DIR *d = opendir("/sys/bus/cxl/devices");
        if (!d)
                return errno == ENOENT ? 1 : -errno;

        for (struct dirent *e; (e = readdir(d));) {
                uint64_t start = 0, size = 0;

                if (!startswith(e->d_name, "region"))
                        continue;
                /* A region without addresses yet reads an empty or zero size: it decodes nothing. */
                int r = scope_read_u64f(scope, &size, "/sys/bus/cxl/devices/%s/size", e->d_name);
                if (r > 0 && size > 0)
                        r = scope_read_u64f(scope, &start, "/sys/bus/cxl/devices/%s/resource", e->d_name);
                if (r < 0)
                        return r;
                if (scope_overlaps(scope, start, size)) {
                        *ret_answer = strf("%s is there at 0x%jx", e->d_name, (uintmax_t) start);
                        return 0;
                }
        }
        return 1;
}

const Probe probe_regions = {
        .name = "regions",
        .question = "does no region claim the card's addresses",
        .before_power_off = true,
        .ask = ask,
};
