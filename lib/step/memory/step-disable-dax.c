/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Takes the driver off a dax device. device_dax takes the pages from whoever has mapped them, so nobody may, unless that is what the
 * request wants (take-mappings.h). kmem removes its memory blocks, but only when every one of them is offline: with one online it says
 * "cannot be hotremoved until the next reboot", leaks the addresses and still succeeds (drivers/dax/kmem.c:dev_dax_kmem_remove). So
 * this step looks again right before it writes. */
#include <errno.h>

#include "kernel/cxl/dax.h"
#include "kernel/sysfs/attr.h"
#include "kernel/sysfs/driver.h"
#include "step/undo/dax-shape.h"
#include "step/undo/dax-users.h"

static void dax_describe(json_object *args, char **ret_does, char **ret_undo) {
        const char *dax = json_str(args, "dax"), *driver = json_str(args, "driver");
        _cleanup_free_ char *unbind = driver_unbind_path("dax", driver), *bind = driver_bind_path("dax", driver);

        *ret_does = strf("write %s to %s%s", dax, unbind, json_flag(args, "force") ? " (forced: the kernel takes what is still mapped)" : "");
        *ret_undo = strf("write %s to %s", dax, bind);
}

static int are_offline(json_object *args, const char *of, StepRun *run) {
        return dax_offline_check(run, json_get(args, "ranges"), json_u64(args, "start"), json_u64(args, "size"), of);
}

/* The node's name is only for people: it belongs to *ret as long as that is used. */
static int dax_look(json_object *args, const char *name, const char *node, StepRun *run, TakenMemory *ret) {
        *ret = (TakenMemory) { 0 };
        int r = step_region_check(args, run);
        if (r >= 0)
                r = are_offline(args, json_str(args, "dax"), run);
        if (r < 0 || streq(json_str(args, "driver"), "kmem"))
                return r;
        return dax_may_go(run, name, node, json_flag(args, "force"), json_get(args, "ranges"), ret);
}

static int dax_check(json_object *args, StepRun *run) {
        _cleanup_free_ char *name = NULL, *node = strf("/dev/%s", json_str(args, "dax"));
        TakenMemory taken;

        int r = dax_find(json_u64(args, "start"), &name);
        return r == -ENODEV ? 0 : r < 0 ? step_fail(run, r, "dax device %s cannot be found: %s", json_str(args, "dax"), strerror(-r))
                                        : dax_look(args, name, node, run, &taken);
}

static int dax_verify(json_object *args, StepRun *run) {
        _cleanup_free_ char *name = NULL, *driver = NULL;

        if (take_unfinished(run))
                return STEP_PARTLY_APPLIED;
        int r = dax_find(json_u64(args, "start"), &name);
        if (r == -ENODEV)
                return STEP_APPLIED;
        if (r >= 0)
                r = driver_of("dax", name, &driver);
        if (r < 0)
                return step_fail(run, r, "dax device %s cannot be read: %s", json_str(args, "dax"), strerror(-r));
        return !driver ? STEP_APPLIED : streq(driver, json_str(args, "driver")) ? STEP_NOT_APPLIED : STEP_PARTLY_APPLIED;
}

/* What a volatile region has is kmem's, unless device_dax was told the device's name (drivers/dax/bus.c: dax_match_type, dax_match_id).
 * It is to know it no longer than it takes, whoever told it: the next device of that name may be another card's. */
static int tell_name(json_object *args, const char *name, const char *attribute, StepRun *run) {
        if (!streq(json_str(args, "driver"), "device_dax") || !streq_ptr(json_str(json_get(args, "region"), "mode"), "ram"))
                return 0;
        _cleanup_free_ char *path = strf("/sys/bus/dax/drivers/device_dax/%s", attribute);
        return path ? step_write(run, path, name) : -ENOMEM;
}

static int dax_disable(json_object *args, const char *name, StepRun *run) {
        _cleanup_free_ char *driver = NULL, *node = strf("/dev/%s", json_str(args, "dax"));
        TakenMemory taken;

        int r = driver_of("dax", name, &driver);
        if (r < 0 || !driver)
                return r;
        r = dax_look(args, name, node, run, &taken);
        if (r >= 0 && taken.size > 0)
                r = take_begin(run, &taken);
        if (r >= 0)
                r = step_unbind(run, "dax", name, json_str(args, "driver"));
        return r < 0 ? r : tell_name(args, name, "remove_id", run);
}

static int dax_apply(json_object *args, StepRun *run) {
        _cleanup_free_ char *name = NULL;

        int r = dax_find(json_u64(args, "start"), &name);
        if (r < 0 && r != -ENODEV)
                return step_fail(run, r, "dax device %s cannot be found: %s", json_str(args, "dax"), strerror(-r));
        return take_finish(run, r == -ENODEV ? 0 : dax_disable(args, name, run));
}

/* A region that comes up gives its device to kmem (drivers/dax/cxl.c: IORESOURCE_DAX_KMEM), whoever had it before. Its memory is
 * offline, the policy for new blocks being off. */
static int take_from_kmem(json_object *args, const char *name, StepRun *run) {
        _cleanup_free_ char *bound = NULL;

        int r = driver_of("dax", name, &bound);
        if (r < 0 || !streq_ptr(bound, "kmem") || streq(json_str(args, "driver"), "kmem"))
                return 0; /* what cannot be read is told by who binds */
        r = are_offline(args, name, run);
        return r < 0 ? r : step_unbind(run, "dax", name, "kmem");
}

static int dax_revert(json_object *args, StepRun *run) {
        _cleanup_free_ char *name = NULL;

        int q = take_undo(run);
        int r = step_region_check(args, run);
        if (r < 0)
                return r;
        r = dax_find(json_u64(args, "start"), &name);
        if (r < 0)
                return step_fail(run, r, "no dax device begins at 0x%jx any more", (uintmax_t) json_u64(args, "start"));
        r = take_from_kmem(args, name, run);
        if (r >= 0)
                r = tell_name(args, name, "new_id", run);
        if (r >= 0)
                r = step_bind(run, "dax", name, json_str(args, "driver"));
        if (r >= 0)
                r = tell_name(args, name, "remove_id", run);
        return r < 0 ? r : q;
}

const StepOps step_disable_dax_ops = {
        .needs_card = true,
        .typical_usec = 50000,
        .args = "dax:s driver:s start:u size:u region:o",
        .describe = dax_describe,
        .check = dax_check,
        .apply = dax_apply,
        .revert = dax_revert,
        .verify = dax_verify,
};
