/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Takes the memory driver off the card, once no region stands on it any more. With a committed region this would be the
 * kernel's own, wrong order (drivers/cxl/core/region.c:cxl_region_detach): the check looks for one. And for what the card is at itself, which may have
 * begun after the plan: from here it is only a moment to the power, where that is asked for the last time (probe-kernel-users.c). */
#include <errno.h>

#include "base/fileio.h"
#include "kernel/sysfs/attr.h"
#include "kernel/sysfs/driver.h"
#include "kernel/users/kernel-users.h"
#include "step/step.h"

static void memdev_describe(json_object *args, char **ret_does, char **ret_undo) {
        *ret_does = strf("write %s to /sys/bus/cxl/drivers/cxl_mem/unbind", json_str(args, "memdev"));
        *ret_undo = strf("write %s to /sys/bus/cxl/drivers/cxl_mem/bind", json_str(args, "memdev"));
}

/* 1 when an endpoint decoder of the memdev belongs to a region. */
static int decoder_in_use(const char *memdev, char **ret_decoder) {
        _cleanup_(closedirp) DIR *d = opendir("/sys/bus/cxl/devices");
        if (!d)
                return -errno;

        for (struct dirent *e; (e = readdir(d));) {
                _cleanup_free_ char *uport = NULL, *region = NULL;
                unsigned port, index;

                if (sscanf(e->d_name, "decoder%u.%u", &port, &index) != 2 ||
                    link_namef(&uport, "/sys/bus/cxl/devices/endpoint%u/uport", port) < 0 || !streq(uport, memdev))
                        continue;
                if (attr_readf(&region, "/sys/bus/cxl/devices/%s/region", e->d_name) < 0 || !*region)
                        continue;
                *ret_decoder = strdup(e->d_name);
                return *ret_decoder ? 1 : -ENOMEM;
        }
        return 0;
}

static int idle_check(const char *memdev, StepRun *run) {
        _cleanup_free_ char *folder = strf("/sys/bus/cxl/devices/%s", memdev);
        _cleanup_kernel_users_ KernelUsers users = { 0 };

        int r = folder ? kernel_users_read_work(&users) : -ENOMEM;
        if (r < 0)
                return step_fail(run, r, "whether %s is busy cannot be read: %s", memdev, strerror(-r));
        for (size_t i = 0; i < users.n_items; i++) {
                const KernelUser *u = &users.items[i];
                if (u->on && !streq(u->on, folder))
                        continue;
                step_remedy(run, "%s", u->remedy);
                return step_fail(run, -EBUSY, "%s is busy with %s (%s)", memdev, u->who, u->evidence);
        }
        return 0;
}

static int memdev_check(json_object *args, StepRun *run) {
        _cleanup_free_ char *decoder = NULL;

        int r = decoder_in_use(json_str(args, "memdev"), &decoder);
        if (r < 0)
                return step_fail(run, r, "the decoders of %s cannot be read: %s", json_str(args, "memdev"), strerror(-r));
        if (r > 0) {
                run->contested = true;
                return step_fail(run, -EBUSY, "%s of %s belongs to a region that appeared after the plan was made: somebody else has created it",
                                 decoder, json_str(args, "memdev"));
        }
        return idle_check(json_str(args, "memdev"), run);
}

static int memdev_verify(json_object *args, StepRun *run) {
        _cleanup_free_ char *driver = NULL;

        int r = driver_of("cxl", json_str(args, "memdev"), &driver);
        if (r == -ENODEV)
                return STEP_APPLIED;
        if (r < 0)
                return step_fail(run, r, "%s cannot be read: %s", json_str(args, "memdev"), strerror(-r));
        return driver ? STEP_NOT_APPLIED : STEP_APPLIED;
}

static int memdev_apply(json_object *args, StepRun *run) {
        int r = memdev_check(args, run);

        return r < 0 ? r : step_unbind(run, "cxl", json_str(args, "memdev"), "cxl_mem");
}

static int memdev_revert(json_object *args, StepRun *run) {
        return step_bind(run, "cxl", json_str(args, "memdev"), "cxl_mem");
}

const StepOps step_disable_memdev_ops = {
        .in_tail = true,
        .needs_card = true,
        .typical_usec = 50000,
        .args = "memdev:s serial:s",
        .describe = memdev_describe,
        .check = memdev_check,
        .apply = memdev_apply,
        .revert = memdev_revert,
        .verify = memdev_verify,
};
