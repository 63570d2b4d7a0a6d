/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Asks the kernel for each disk and partition that has nothing on it any more: an exclusive open is refused if any user in the kernel
 * has the device, whether or not the plan knew of it. The descriptors are kept until the device is gone, so that no new user gets it. They
 * belong to this process: a worker that resumes the removal opens them anew. */
#include <errno.h>
#include <sys/sysmacros.h>

#include "base/clock.h"
#include "kernel/block/blockdev.h"
#include "kernel/block/claims.h"
#include "kernel/mounts/mountinfo.h"
#include "kernel/sysfs/attr.h"
#include "kernel/users/kernel-users.h"
#include "step/evict/users.h"

enum {
        /* udev's and LVM's tools, mkfs and fsck have a device for themselves for a moment, and the kernel tells nobody when they let
         * go of it. */
        PATIENCE_SEC = 5,
        RETRY_MSEC = 100,
};

static void claim_describe(json_object *args, char **ret_does, char **ret_undo) {
        _cleanup_free_ char *names = json_joined(json_array(args, "devices"), "name", ", ");

        *ret_does = strf("open %s exclusively until gone; a user that no plan can see stops the removal here", names && *names ? names : "nothing");
        *ret_undo = strf("let go of %s", names && *names ? names : "nothing");
}

/* Name and number together: either may be another device's by now. */
static bool is_there(json_object *device, dev_t *ret) {
        _cleanup_free_ char *name = NULL;

        return dev_parse(json_str(device, "dev") ?: "", ret) >= 0 && blockdev_name(*ret, &name) >= 0 &&
               streq_ptr(name, json_str(device, "name"));
}

static int claim_verify(json_object *args, StepRun *run) {
        json_object *devices = json_array(args, "devices");
        size_t n_held = 0, n_there = 0;

        for (size_t i = 0; i < json_len(devices); i++) {
                dev_t dev;
                if (!is_there(json_at(devices, i), &dev))
                        continue;
                n_there++;
                n_held += claim_is_held(dev);
        }
        if (run->backwards)
                return n_held > 0 ? STEP_PARTLY_APPLIED : STEP_NOT_APPLIED;
        return n_held == n_there ? STEP_APPLIED : n_held > 0 ? STEP_PARTLY_APPLIED : STEP_NOT_APPLIED;
}

/* Whoever has it need not be in the list of anything: then that is said. */
static int say_who(StepRun *run, const char *name, dev_t dev) {
        _cleanup_free_ char *holders = blockdev_holders(name), *user = holders ? NULL : step_users(TARGET_BLOCK, dev, name);
        _cleanup_kernel_users_ KernelUsers users = { 0 };

        (void) kernel_users_read(&users);
        for (size_t i = 0; i < users.n_items; i++) {
                const KernelUser *u = &users.items[i];
                _cleanup_free_ char *on = kernel_user_device(u);
                if (u->dev != dev && !streq_ptr(on, name))
                        continue;
                step_remedy(run, "%s", u->remedy);
                return step_fail(run, -EBUSY, "%s is in use: %s has it", name, u->who);
        }
        step_remedy(run, "lsblk /dev/%s && fuser -v -m /dev/%s; zpool status -P; targetcli ls; nvmetcli ls  # the user of the device must release it",
                    name, name);
        if (holders)
                return step_fail(run, -EBUSY, "%s is in use: %s stands on it", name, holders);
        if (user)
                return step_fail(run, -EBUSY, "%s is in use: %s", name, user);
        _cleanup_free_ char *in_flight = step_in_flight();
        return step_fail(run, -EBUSY, "%s is in use: the kernel gives it to nobody else, and does not say for whom (a ZFS pool, a target, "
                         "a file system mounted where nobody sees it)%s%s", name, in_flight ? "; " : "", in_flight ?: "");
}

static int claim_one(json_object *device, StepRun *run) {
        const char *name = json_str(device, "name");
        uint64_t deadline = now_monotonic() + PATIENCE_SEC * USEC_PER_SEC;
        int r = -EBUSY;
        dev_t dev;

        if (!is_there(device, &dev))
                return 0;
        while ((r = claim_take(dev, run->limits->write_timeout_usec)) == -EBUSY && now_monotonic() < deadline) {
                if (step_cancelled(run))
                        return step_fail(run, -ECANCELED, "cancelled");
                step_pause(run, RETRY_MSEC);
        }
        if (r == -EBUSY)
                return say_who(run, name, dev);
        if (r == -ENODEV || r >= 0)
                return 0;
        if (r == -ENOENT || r == -ESTALE)
                step_remedy(run, "rm -f /dev/%s && mknod -m 660 /dev/%s b %u %u", name, name, major(dev), minor(dev));
        return step_fail(run, r, "whether anybody has %s cannot be asked: %s", name, r == -ESTALE ? "its node is another device's" : strerror(-r));
}

static int claim_apply(json_object *args, StepRun *run) {
        json_object *devices = json_array(args, "devices");
        int r = 0;

        for (size_t i = 0; i < json_len(devices) && r >= 0; i++)
                r = claim_one(json_at(devices, i), run);
        return r;
}

static int claim_revert(json_object *args, StepRun *run) {
        json_object *devices = json_array(args, "devices");

        for (size_t i = 0; i < json_len(devices); i++) {
                dev_t dev;
                if (dev_parse(json_str(json_at(devices, i), "dev") ?: "", &dev) >= 0)
                        claim_give(dev);
        }
        return 0;
}

const StepOps step_claim_devices_ops = {
        .needs_card = true,
        .in_process = true,
        .typical_usec = 10000,
        .args = "devices:a",
        .describe = claim_describe,
        .apply = claim_apply,
        .revert = claim_revert,
        .verify = claim_verify,
};
