/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "kernel/sysfs/attr.h"
#include "step/evict/users.h"
#include "step/undo/dax-users.h"

int dax_may_go(StepRun *run, const char *dax, const char *node, bool force, json_object *ranges, TakenMemory *ret) {
        TakenMemory m = { .way = FORCED_DEVICE_DAX, .kind = TARGET_CHAR, .name = node, .ranges = ranges };

        *ret = (TakenMemory) { 0 };
        int r = step_dax_number(run, dax, &m.dev);
        if (r > 0)
                r = step_dax_unused(run, dax);
        if (r != -EBUSY || !force)
                return r;
        r = attr_read_u64f(&m.start, "/sys/bus/dax/devices/%s/resource", dax);
        if (r >= 0)
                r = attr_read_u64f(&m.size, "/sys/bus/dax/devices/%s/size", dax);
        if (r < 0)
                return step_fail(run, r, "where %s lies cannot be read: %s", dax, strerror(-r));
        r = take_check(run, &m);
        if (r < 0)
                return r;
        free(TAKE_PTR(run->why)); /* who uses it is no reason any more */
        *ret = m;
        return 0;
}
