/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Takes the driver off a namespace, as `ndctl disable-namespace` does: off the claim on it (pfn, btt, dax), which is then let
 * go. Enabling goes through the namespace: nd_pmem finds on the media what it was, makes a new claim under whatever name and
 * answers ENXIO (drivers/nvdimm/pmem.c:nd_pmem_probe). libndctl is not asked: it keeps a picture of its own that goes stale
 * while regions come and go.
 *
 * The kernel takes the device away from under every user. For fsdax that ends in a crash, so this step looks itself.
 *
 * A namespace that was disabled already has the step for its undo alone: with its region the kernel enables whatever it finds. */
#include <errno.h>

#include "kernel/driver.h"
#include "kernel/fence.h"
#include "kernel/nd.h"
#include "step/dax-users.h"
#include "step/users.h"

typedef struct Found {
        char *name, *device, *driver, *block, *dax;
} Found;

static void found_done(Found *f) {
        free(f->name);
        free(f->device);
        free(f->driver);
        free(f->block);
        free(f->dax);
}

static int look(json_object *args, StepRun *run, Found *f) {
        int r = nd_namespace_find(args, &f->name);
        if (r >= 0)
                r = nd_namespace_device(f->name, &f->device);
        if (r >= 0)
                r = driver_of("nd", f->device, &f->driver);
        if (r >= 0)
                r = nd_block_of(f->device, &f->block);
        if (r >= 0)
                r = nd_dax_of(f->device, &f->dax);
        return r < 0 && r != -ENODEV ? step_fail(run, r, "%s cannot be read: %s", json_str(args, "namespace"), strerror(-r)) : r;
}

static void namespace_describe(json_object *args, char **ret_does, char **ret_undo) {
        const char *name = json_str(args, "namespace"), *device = json_str(args, "device") ?: name, *driver = json_str(args, "driver");
        bool claimed = !streq(device, name);

        if (!driver) {
                *ret_does = strf("leave %s disabled", name);
                *ret_undo = strf("disable %s again, which the kernel enables with its region", name);
                return;
        }
        *ret_does = strf("write %s to /sys/bus/nd/drivers/%s/unbind%s%s", device, driver,
                         claimed ? "; let go of " : "", claimed ? name : "");
        *ret_undo = strf("write %s to /sys/bus/nd/drivers/nd_pmem/bind", name);
}

static int unused(json_object *args, const Found *f, StepRun *run, dev_t *ret_dev) {
        json_object *region = json_get(args, "nd_region");

        *ret_dev = 0;
        int r = f->block ? step_block_unclaimed(run, f->block) : 0;
        if (r >= 0 && f->dax)
                r = dax_may_go(run, f->dax, json_flag(args, "force"), ret_dev);
        if (r >= 0 && f->dax)
                r = step_offline_check(run, json_u64(region, "start"), json_u64(region, "size"), f->dax);
        return r;
}

static int namespace_check(json_object *args, StepRun *run) {
        _cleanup_(found_done) Found f = { 0 };
        dev_t dev;

        int r = look(args, run, &f);
        return r == -ENODEV ? 0 : r < 0 ? r : unused(args, &f, run, &dev);
}

static int namespace_verify(json_object *args, StepRun *run) {
        _cleanup_(found_done) Found f = { 0 };

        /* The kernel brings namespaces by itself when their region comes back, and takes its time. */
        if (run->backwards)
                (void) nd_settle(run->limits->write_timeout_usec);
        int r = look(args, run, &f);
        if (r < 0)
                return r == -ENODEV ? STEP_APPLIED : r;

        /* One that was disabled before is to be so again. */
        bool enabled = f.driver || f.block || f.dax, was_enabled = json_str(args, "driver");
        if (run->backwards)
                return enabled == was_enabled ? STEP_NOT_APPLIED : STEP_APPLIED;
        return enabled ? STEP_NOT_APPLIED : STEP_APPLIED;
}

static int disable(const Found *f, StepRun *run) {
        _cleanup_free_ char *claim = strf("/sys/bus/nd/devices/%s/namespace", f->device);

        int r = f->driver ? step_unbind(run, "nd", f->device, f->driver) : 0;
        if (r < 0 || streq(f->device, f->name))
                return r;
        fence_sweep();
        return claim ? step_write(run, claim, "\n") : -ENOMEM;
}

static int namespace_apply(json_object *args, StepRun *run) {
        _cleanup_(found_done) Found f = { 0 };
        dev_t dev;

        int r = look(args, run, &f);
        if (r == -ENODEV)
                return 0;
        if (r >= 0)
                r = unused(args, &f, run, &dev);
        if (r >= 0)
                r = disable(&f, run);
        return r < 0 || dev == 0 || !json_flag(args, "force") ? r : dax_zapped(run, f.dax, dev);
}

static int enable(const Found *f, StepRun *run) {
        int r = 0;

        if (!streq(f->device, f->name))
                return step_bind(run, "nd", f->device, startswith(f->device, "dax") ? "dax_pmem" : "nd_pmem");

        /* Its answer says nothing (ENXIO where a claim has it now): verify() looks. */
        r = step_write(run, "/sys/bus/nd/drivers/nd_pmem/bind", f->name);
        return r == -EINPROGRESS ? r : nd_settle(run->limits->write_timeout_usec);
}

static int namespace_revert(json_object *args, StepRun *run) {
        _cleanup_(found_done) Found f = { 0 };
        bool was_enabled = json_str(args, "driver");

        (void) nd_settle(run->limits->write_timeout_usec);
        int r = look(args, run, &f);
        if (r == -ENODEV)
                return step_fail(run, r, "%s is not there any more: no region with it, or no label", json_str(args, "namespace"));
        if (r < 0)
                return r;
        bool enabled = f.driver || f.block || f.dax;
        if (enabled == was_enabled)
                return 0;
        step_remedy(run, "ndctl %s-namespace %s", was_enabled ? "enable" : "disable", f.name);
        return was_enabled ? enable(&f, run) : disable(&f, run);
}

const StepOps step_disable_namespace_ops = {
        .needs_card = true,
        .typical_usec = 200000,
        .args = "namespace:s nd_region:o",
        .describe = namespace_describe,
        .check = namespace_check,
        .apply = namespace_apply,
        .revert = namespace_revert,
        .verify = namespace_verify,
};
