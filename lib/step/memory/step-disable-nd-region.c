/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Takes the region of an nvdimm bus down, when nothing of it is enabled any more. Its namespaces go with it and come back, enabled,
 * from the labels on the card. */
#include <errno.h>

#include "kernel/cxl/nd.h"
#include "kernel/sysfs/driver.h"
#include "step/step.h"

static void nd_region_describe(json_object *args, char **ret_does, char **ret_undo) {
        const char *name = json_str(json_get(args, "nd_region"), "name");

        *ret_does = strf("write %s to /sys/bus/nd/drivers/nd_region/unbind", name);
        *ret_undo = strf("write %s to /sys/bus/nd/drivers/nd_region/bind", name);
}

static int find(json_object *args, StepRun *run, char **ret_name) {
        json_object *region = json_get(args, "nd_region");

        int r = nd_region_find(region, ret_name);
        return r < 0 && r != -ENODEV ? step_fail(run, r, "nvdimm region %s cannot be found: %s", json_str(region, "name"), strerror(-r)) : r;
}

static int nd_region_check(json_object *args, StepRun *run) {
        _cleanup_free_ char *name = NULL, *enabled = NULL;

        int r = find(args, run, &name);
        if (r == -ENODEV)
                return 0;
        if (r >= 0)
                r = nd_region_enabled(name, &enabled);
        if (r >= 0 && enabled) {
                step_remedy(run, "ndctl disable-namespace %s", enabled);
                return step_fail(run, -EBUSY, "%s of nvdimm region %s is enabled: its driver does not ask who uses it", enabled, name);
        }
        return r < 0 ? step_fail(run, r, "nvdimm region %s cannot be read: %s", name ?: "?", strerror(-r)) : 0;
}

static int nd_region_verify(json_object *args, StepRun *run) {
        _cleanup_free_ char *name = NULL, *driver = NULL;

        /* It comes back with its CXL region, probed in the kernel's own time. */
        if (run->backwards)
                (void) nd_settle(run->limits->write_timeout_usec);
        int r = find(args, run, &name);
        if (r == -ENODEV)
                return STEP_APPLIED;
        if (r >= 0)
                r = driver_of("nd", name, &driver);
        if (r < 0)
                return r == -ENODEV ? STEP_APPLIED : r;
        return driver ? STEP_NOT_APPLIED : STEP_APPLIED;
}

static int nd_region_apply(json_object *args, StepRun *run) {
        _cleanup_free_ char *name = NULL;

        int r = find(args, run, &name);
        if (r == -ENODEV)
                return 0;
        if (r >= 0)
                r = nd_region_check(args, run);
        return r < 0 ? r : step_unbind(run, "nd", name, "nd_region");
}

static int nd_region_revert(json_object *args, StepRun *run) {
        _cleanup_free_ char *name = NULL;

        (void) nd_settle(run->limits->write_timeout_usec);
        int r = find(args, run, &name);
        if (r == -ENODEV)
                return step_fail(run, r, "no nvdimm region begins at 0x%jx any more",
                                 (uintmax_t) json_u64(json_get(args, "nd_region"), "start"));
        if (r >= 0)
                r = step_bind(run, "nd", name, "nd_region");
        return r < 0 ? r : nd_settle(run->limits->write_timeout_usec);
}

const StepOps step_disable_nd_region_ops = {
        .needs_card = true,
        .typical_usec = 100000,
        .args = "nd_region:o",
        .describe = nd_region_describe,
        .check = nd_region_check,
        .apply = nd_region_apply,
        .revert = nd_region_revert,
        .verify = nd_region_verify,
};
