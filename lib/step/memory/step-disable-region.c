/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Takes the region driver off while the region's addresses still decode, so that everything that stood on it (dax region,
 * dax device) is gone before the decoders are reset. The kernel's own order on a card's removal is the other one
 * (drivers/cxl/core/region.c:cxl_region_detach resets first). */
#include <errno.h>

#include "kernel/cxl/cxl-region.h"
#include "kernel/cxl/nd.h"
#include "kernel/sysfs/driver.h"
#include "kernel/sysfs/fence.h"
#include "step/step.h"
#include "step/undo/dax-shape.h"

static void region_describe(json_object *args, char **ret_does, char **ret_undo) {
        const char *name = json_str(json_get(args, "region"), "name");

        *ret_does = strf("write %s to /sys/bus/cxl/drivers/cxl_region/unbind", name);
        *ret_undo = strf("write %s to /sys/bus/cxl/drivers/cxl_region/bind%s", name, json_has(args, "daxes") ? "; make its dax devices again" : "");
}

static int shape_verify(json_object *args, const char *name, StepRun *run) {
        int r = dax_shape_fits(json_get(args, "daxes"), name);

        if (r < 0)
                return step_fail(run, r, "the dax devices of %s cannot be read: %s", name, strerror(-r));
        return r > 0 ? STEP_NOT_APPLIED : STEP_PARTLY_APPLIED;
}

static int region_verify(json_object *args, StepRun *run) {
        _cleanup_free_ char *name = NULL, *driver = NULL;
        bool complete;

        int r = region_find(json_get(args, "region"), &name, &complete);
        if (r == -ENODEV)
                return STEP_APPLIED;
        if (r >= 0)
                r = driver_of("cxl", name, &driver);
        if (r >= 0 && driver && run->backwards && json_has(args, "daxes"))
                return shape_verify(args, name, run);
        if (r < 0)
                return step_fail(run, r, "region %s cannot be read: %s", json_str(json_get(args, "region"), "name"), strerror(-r));
        return driver ? STEP_NOT_APPLIED : STEP_APPLIED;
}

/* Unbinding with memory online would leak it, whoever put it online again; with a namespace enabled it would take it from under its
 * users. */
static int region_check_unused(json_object *args, StepRun *run) {
        json_object *region = json_get(args, "region");
        _cleanup_free_ char *name = NULL, *enabled = NULL;

        if (nd_region_find(region, &name) >= 0 && nd_region_enabled(name, &enabled) >= 0 && enabled)
                return step_fail(run, -EBUSY, "%s on %s is enabled", enabled, json_str(region, "name"));
        return step_offline_check(run, json_u64(region, "start"), json_u64(region, "size"), json_str(region, "name"));
}

static int region_apply(json_object *args, StepRun *run) {
        _cleanup_free_ char *name = NULL;
        bool complete;

        int r = region_find(json_get(args, "region"), &name, &complete);
        if (r == -ENODEV)
                return 0;
        if (r < 0)
                return step_fail(run, r, "region %s cannot be found: %s", json_str(json_get(args, "region"), "name"), strerror(-r));
        r = step_unbind(run, "cxl", name, "cxl_region");
        fence_sweep();
        return r;
}

static int region_revert(json_object *args, StepRun *run) {
        _cleanup_free_ char *name = NULL;
        bool complete = false;

        int r = region_find(json_get(args, "region"), &name, &complete);
        if (r < 0 || !complete)
                return step_fail(run, r < 0 ? r : -ENODEV, "region %s is not there to be enabled",
                                 json_str(json_get(args, "region"), "name"));
        r = step_bind(run, "cxl", name, "cxl_region");
        return r >= 0 && json_has(args, "daxes") ? dax_shape_make(json_get(args, "daxes"), name, run) : r;
}

const StepOps step_disable_region_ops = {
        .needs_card = true,
        .typical_usec = 50000,
        .args = "region:o",
        .describe = region_describe,
        .check = region_check_unused,
        .apply = region_apply,
        .revert = region_revert,
        .verify = region_verify,
};
