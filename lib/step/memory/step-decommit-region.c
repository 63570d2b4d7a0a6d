/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Resets the decoders of the whole interleave set: of every card, switch and host bridge on the way
 * (drivers/cxl/core/region.c:commit_store). The kernel does not look whether the memory behind is in use, so this step
 * looks: nothing of the range may be online or even present as System RAM. */
#include <errno.h>

#include "kernel/cxl/cxl-region.h"
#include "kernel/memory/memory-block.h"
#include "kernel/sysfs/attr.h"
#include "step/step.h"

static void commit_describe(json_object *args, char **ret_does, char **ret_undo) {
        const char *name = json_str(json_get(args, "region"), "name");

        *ret_does = strf("write 0 to /sys/bus/cxl/devices/%s/commit", name);
        *ret_undo = strf("write 1 to /sys/bus/cxl/devices/%s/commit", name);
}

static int commit_check(json_object *args, StepRun *run) {
        json_object *region = json_get(args, "region");
        _cleanup_free_ MemoryBlock *blocks = NULL;
        size_t n = 0;

        int r = memory_blocks_in_range(json_u64(region, "start"), json_u64(region, "size"), &blocks, &n);
        if (r < 0)
                return step_fail(run, r, "the memory blocks of %s cannot be read: %s", json_str(region, "name"), strerror(-r));
        if (n > 0)
                return step_fail(run, -EBUSY, "memory%ju of %s is still there (%s): its addresses must not stop decoding",
                                 (uintmax_t) blocks[0].id, json_str(region, "name"), blocks[0].online ? "online" : "offline");
        return 0;
}

static int commit_state(json_object *args, char **ret_name, uint64_t *ret_commit) {
        bool complete;

        int r = region_find(json_get(args, "region"), ret_name, &complete);
        if (r < 0)
                return r;
        return attr_read_u64f(ret_commit, "/sys/bus/cxl/devices/%s/commit", *ret_name);
}

static int commit_verify(json_object *args, StepRun *run) {
        _cleanup_free_ char *name = NULL;
        uint64_t commit = 0;

        int r = commit_state(args, &name, &commit);
        if (r == -ENODEV)
                return STEP_APPLIED;
        if (r < 0)
                return step_fail(run, r, "the commit state of %s cannot be read: %s",
                                 json_str(json_get(args, "region"), "name"), strerror(-r));
        return commit ? STEP_NOT_APPLIED : STEP_APPLIED;
}

static int commit_write(json_object *args, const char *value, StepRun *run) {
        _cleanup_free_ char *name = NULL, *path = NULL;
        uint64_t commit = 0;

        int r = commit_state(args, &name, &commit);
        if (r < 0)
                return step_fail(run, r, "region %s is not there: %s", json_str(json_get(args, "region"), "name"), strerror(-r));
        path = strf("/sys/bus/cxl/devices/%s/commit", name);
        if (!path)
                return -ENOMEM;
        return step_write(run, path, value);
}

static int commit_apply(json_object *args, StepRun *run) {
        int r = commit_check(args, run);

        return r < 0 ? r : commit_write(args, "0", run);
}

static int commit_revert(json_object *args, StepRun *run) {
        return commit_write(args, "1", run);
}

const StepOps step_decommit_region_ops = {
        .needs_card = true,
        .typical_usec = 50000,
        .args = "region:o",
        .describe = commit_describe,
        .check = commit_check,
        .apply = commit_apply,
        .revert = commit_revert,
        .verify = commit_verify,
};
