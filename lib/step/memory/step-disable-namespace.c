/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Takes the driver off a namespace, as `ndctl disable-namespace` does: off the claim on it (pfn, btt, dax), which is then let
 * go. Enabling goes through the namespace: nd_pmem finds on the media what it was, makes a new claim under whatever name and
 * answers ENXIO (drivers/nvdimm/pmem.c:nd_pmem_probe). libndctl is not asked: it keeps a picture of its own that goes stale
 * while regions come and go.
 *
 * The kernel takes the device away from under every user. For fsdax that ends in a crash, so this step looks itself; only XFS can be
 * told, which is done where the request wants it (take-mappings.h). What is left of the file system then is a shell, which goes too.
 *
 * A namespace that was disabled already has the step for its undo alone: with its region the kernel enables whatever it finds. */
#include <errno.h>

#include "kernel/block/blockdev.h"
#include "kernel/block/claims.h"
#include "kernel/cxl/nd.h"
#include "kernel/mounts/unmount.h"
#include "kernel/mounts/xfs.h"
#include "kernel/sysfs/driver.h"
#include "kernel/sysfs/fence.h"
#include "step/evict/users.h"
#include "step/undo/dax-users.h"

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

static bool is_enabled(const Found *f) {
        return f->driver || f->block || f->dax;
}

static void namespace_describe(json_object *args, char **ret_does, char **ret_undo) {
        const char *name = json_str(args, "namespace"), *device = json_str(args, "device") ?: name, *driver = json_str(args, "driver");
        bool claimed = !streq(device, name);

        if (!driver) {
                *ret_does = strf("leave %s disabled", name);
                *ret_undo = strf("disable %s again, which the kernel enables with its region", name);
                return;
        }
        *ret_does = strf("write %s to /sys/bus/nd/drivers/%s/unbind%s%s%s", device, driver, claimed ? "; let go of " : "", claimed ? name : "",
                         json_flag(args, "force") ? " (forced: the kernel takes what is still mapped)" : "");
        *ret_undo = strf("write %s to /sys/bus/nd/drivers/nd_pmem/bind", name);
}

/* The file system that the planner found on it. */
static int fs_of(json_object *args, MountedFs *ret) {
        json_object *fs = json_get(args, "fs");

        ret->type = json_str(fs, "type");
        return ret->type ? dev_parse(json_str(fs, "dev"), &ret->dev) : -ENOENT;
}

/* It may be mounted still where it is the only one to use the device and the kernel tells it that its memory goes. */
static int fs_may_go(json_object *args, const Found *f, StepRun *run, TakenMemory *ret) {
        TakenMemory m = { .way = FORCED_XFS, .kind = TARGET_FS, .name = json_str(json_get(args, "fs"), "target"),
                          .start = json_u64(args, "data_start"), .size = json_u64(args, "data_size") };
        _cleanup_free_ char *holders = blockdev_holders(f->block);
        MountedFs fs;
        dev_t dev;

        int r = fs_of(args, &fs);
        if (r >= 0)
                r = blockdev_number(f->block, &dev);
        if (r < 0 || !m.name || dev != fs.dev || (holders && *holders) || !superblock_exists(fs.type, f->block))
                return -EBUSY;
        if (!streq(fs.type, "xfs") || xfs_has_reverse_map(f->block) <= 0)
                m.way = FORCED_FSDAX;
        m.dev = fs.dev;
        r = take_check(run, &m);
        if (r < 0)
                return r;
        free(TAKE_PTR(run->why)); /* that it is in use is no reason any more */
        *ret = m;
        return 0;
}

static int unused(json_object *args, const Found *f, const char *node, StepRun *run, TakenMemory *ret) {
        json_object *region = json_get(args, "nd_region");

        *ret = (TakenMemory) { 0 };
        int r = f->block ? step_block_unclaimed(run, f->block) : 0;
        if (r == -EBUSY && json_flag(args, "force"))
                r = fs_may_go(args, f, run, ret);
        if (r >= 0 && f->dax)
                r = dax_may_go(run, f->dax, node, json_flag(args, "force"), NULL, ret);
        if (r >= 0 && f->dax)
                r = step_offline_check(run, json_u64(region, "start"), json_u64(region, "size"), f->dax);
        return r;
}

static int namespace_check(json_object *args, StepRun *run) {
        _cleanup_free_ char *node = strf("/dev/%s", json_str(args, "dax") ?: "?");
        _cleanup_(found_done) Found f = { 0 };
        TakenMemory taken;

        int r = look(args, run, &f);
        return r == -ENODEV ? 0 : r < 0 ? r : unused(args, &f, node, run, &taken);
}

/* The mounts of a file system that has lost its device. */
static int find_shell(json_object *args, StepRun *run, json_object **ret) {
        MountedFs fs;

        if (!take_noted(run) || fs_of(args, &fs) < 0)
                return 0;
        int r = mounts_find(&fs, run->limits->write_timeout_usec, ret);
        return r < 0 ? step_fail(run, r, "the mount namespaces cannot be looked through: %s", mounts_find_error(r)) : 0;
}

static int drop_shell(json_object *args, StepRun *run) {
        _cleanup_json_ json_object *left = NULL;
        MountedFs fs;

        if (!take_noted(run) || fs_of(args, &fs) < 0)
                return 0;
        int r = fs_unmount(&fs, run->limits->write_timeout_usec, &left);
        if (r < 0)
                return step_fail(run, r, "umount did not come back: %s", strerror(-r));
        return json_len(left) == 0 ? 0 : step_fail(run, -EBUSY, "%s has lost its device and cannot be unmounted: %s",
                                                   json_str(json_at(left, 0), "target"), json_str(json_at(left, 0), "why"));
}

static int namespace_verify(json_object *args, StepRun *run) {
        _cleanup_json_ json_object *shell = NULL;
        _cleanup_(found_done) Found f = { 0 };

        /* The kernel brings namespaces by itself when their region comes back, and takes its time. */
        if (run->backwards)
                (void) nd_settle(run->limits->write_timeout_usec);
        int r = run->backwards ? 0 : find_shell(args, run, &shell);
        if (r < 0)
                return r;
        int done = take_unfinished(run) || json_len(shell) > 0 ? STEP_PARTLY_APPLIED : STEP_APPLIED;
        r = look(args, run, &f);
        if (r < 0)
                return r == -ENODEV ? done : r;

        /* One that was disabled before is to be so again. */
        bool was_enabled = json_str(args, "driver");
        if (run->backwards && !take_unfinished(run))
                return is_enabled(&f) == was_enabled ? STEP_NOT_APPLIED : STEP_APPLIED;
        return is_enabled(&f) ? STEP_NOT_APPLIED : done;
}

static int disable(const Found *f, StepRun *run) {
        _cleanup_free_ char *claim = strf("/sys/bus/nd/devices/%s/namespace", f->device);

        int r = f->driver ? step_unbind(run, "nd", f->device, f->driver) : 0;
        if (r < 0 || streq(f->device, f->name))
                return r;
        fence_sweep();
        return claim ? step_write(run, claim, "\n") : -ENOMEM;
}

static int take_down(json_object *args, StepRun *run) {
        _cleanup_free_ char *node = strf("/dev/%s", json_str(args, "dax") ?: "?");
        _cleanup_(found_done) Found f = { 0 };
        TakenMemory taken = { 0 };

        int r = look(args, run, &f);
        if (r < 0)
                return r == -ENODEV ? 0 : r;
        if (is_enabled(&f))
                r = unused(args, &f, node, run, &taken);
        if (r >= 0 && taken.size > 0)
                r = take_begin(run, &taken);
        return r < 0 ? r : disable(&f, run);
}

static int namespace_apply(json_object *args, StepRun *run) {
        int r = take_finish(run, take_down(args, run));

        claims_sweep();
        return r < 0 ? r : drop_shell(args, run);
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

        int q = take_undo(run);
        (void) nd_settle(run->limits->write_timeout_usec);
        int r = look(args, run, &f);
        if (r == -ENODEV)
                return step_fail(run, r, "%s is not there any more: no region with it, or no label", json_str(args, "namespace"));
        if (r < 0)
                return r;
        if (is_enabled(&f) == was_enabled)
                return q;
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
