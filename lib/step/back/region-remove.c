/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "kernel/cxl/cxl-region.h"
#include "kernel/sysfs/attr.h"
#include "step/back/region-create.h"

static int dpa_free(json_object *target, StepRun *run) {
        _cleanup_free_ char *decoder = NULL, *path = NULL;
        uint64_t size = 0;

        int r = region_target_decoder(target, &decoder);
        if (r == -ENODEV)
                return 0;
        if (r < 0)
                return step_fail(run, r, "the endpoint decoder of %s cannot be found: %s", json_str(target, "memdev"), strerror(-r));
        path = strf("/sys/bus/cxl/devices/%s/dpa_size", decoder);
        if (!path)
                return -ENOMEM;
        if (attr_read_u64f(&size, "%s", path) >= 0 && size == 0)
                return 0;
        return step_write(run, path, "0");
}

int region_remove(json_object *region, StepRun *run) {
        json_object *targets = json_array(region, "targets");
        _cleanup_free_ char *name = NULL;
        bool complete;

        int r = region_find(region, &name, &complete);
        if (r == -ENODEV)
                r = region_find_begun(region, &name);
        if (r >= 0) {
                uint64_t commit = 1;

                /* The one of the plan was decommitted before; a live one over the same cards is somebody else's. */
                if (attr_read_u64f(&commit, "/sys/bus/cxl/devices/%s/commit", name) < 0 || commit)
                        return step_fail(run, -EBUSY, "%s is in use and not the plan's: not deleted", name);
                _cleanup_free_ char *path = strf("/sys/bus/cxl/devices/%s/delete_region", json_str(region, "root"));
                if (!path)
                        return -ENOMEM;
                r = step_write(run, path, name);
        }
        if (r < 0 && r != -ENODEV)
                return r;

        /* The last reserved is the first to be freed (drivers/cxl/core/hdm.c:cxl_dpa_free insists on it). */
        for (size_t i = json_len(targets); i > 0; i--) {
                r = dpa_free(json_at(targets, i - 1), run);
                if (r < 0)
                        return r;
        }
        return 0;
}
