/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Takes the driver off a dax device. device_dax takes the pages from whoever has mapped them, so nobody may (see dax-users.h). kmem removes its memory blocks, but only when every one of them is offline: with
 * one online it says "cannot be hotremoved until the next reboot", leaks the addresses and still succeeds
 * (drivers/dax/kmem.c:dev_dax_kmem_remove). So this step looks again right before it writes. */
#include <errno.h>

#include "kernel/attr.h"
#include "kernel/dax.h"
#include "kernel/driver.h"
#include "step/dax-users.h"

static void dax_describe(json_object *args, char **ret_does, char **ret_undo) {
        const char *dax = json_str(args, "dax"), *driver = json_str(args, "driver");
        _cleanup_free_ char *unbind = driver_unbind_path("dax", driver), *bind = driver_bind_path("dax", driver);

        *ret_does = strf("write %s to %s", dax, unbind);
        *ret_undo = strf("write %s to %s", dax, bind);
}

static int dax_look(json_object *args, const char *name, StepRun *run, dev_t *ret_dev) {
        *ret_dev = 0;
        int r = step_region_check(args, run);
        if (r >= 0)
                r = step_offline_check(run, json_u64(args, "start"), json_u64(args, "size"), json_str(args, "dax"));
        if (r < 0 || streq(json_str(args, "driver"), "kmem"))
                return r;
        return dax_may_go(run, name, json_flag(args, "force"), ret_dev);
}

static int dax_check(json_object *args, StepRun *run) {
        _cleanup_free_ char *name = NULL;
        dev_t dev;

        int r = dax_find(json_u64(args, "start"), &name);
        return r == -ENODEV ? 0 : r < 0 ? step_fail(run, r, "dax device %s cannot be found: %s", json_str(args, "dax"), strerror(-r))
                                        : dax_look(args, name, run, &dev);
}

static int dax_verify(json_object *args, StepRun *run) {
        _cleanup_free_ char *name = NULL, *driver = NULL;

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
 * The name is forgotten again with the device: the next one of that name may be another card's. */
static int tell_name(json_object *args, const char *name, const char *attribute, StepRun *run) {
        if (!streq(json_str(args, "driver"), "device_dax") || !streq_ptr(json_str(json_get(args, "region"), "mode"), "ram"))
                return 0;
        _cleanup_free_ char *path = strf("/sys/bus/dax/drivers/device_dax/%s", attribute);
        return path ? step_write(run, path, name) : -ENOMEM;
}

static int dax_apply(json_object *args, StepRun *run) {
        _cleanup_free_ char *name = NULL;
        dev_t dev;

        int r = dax_find(json_u64(args, "start"), &name);
        if (r == -ENODEV)
                return 0;
        if (r < 0)
                return step_fail(run, r, "dax device %s cannot be found: %s", json_str(args, "dax"), strerror(-r));
        r = dax_look(args, name, run, &dev);
        if (r >= 0)
                r = step_unbind(run, "dax", name, json_str(args, "driver"));
        if (r >= 0)
                r = tell_name(args, name, "remove_id", run);
        return r < 0 || dev == 0 || !json_flag(args, "force") ? r : dax_zapped(run, name, dev);
}

/* A region that comes up gives its device to kmem (drivers/dax/cxl.c: IORESOURCE_DAX_KMEM), whoever had it before. Its memory is
 * offline, the policy for new blocks being off. */
static int take_from_kmem(json_object *args, const char *name, StepRun *run) {
        _cleanup_free_ char *bound = NULL;

        int r = driver_of("dax", name, &bound);
        if (r < 0 || !streq_ptr(bound, "kmem") || streq(json_str(args, "driver"), "kmem"))
                return 0; /* what cannot be read is told by who binds */
        r = step_offline_check(run, json_u64(args, "start"), json_u64(args, "size"), name);
        return r < 0 ? r : step_unbind(run, "dax", name, "kmem");
}

static int dax_revert(json_object *args, StepRun *run) {
        _cleanup_free_ char *name = NULL;

        int r = step_region_check(args, run);
        if (r < 0)
                return r;
        r = dax_find(json_u64(args, "start"), &name);
        if (r < 0)
                return step_fail(run, r, "no dax device begins at 0x%jx any more", (uintmax_t) json_u64(args, "start"));
        r = take_from_kmem(args, name, run);
        if (r >= 0)
                r = tell_name(args, name, "new_id", run);
        return r < 0 ? r : step_bind(run, "dax", name, json_str(args, "driver"));
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
