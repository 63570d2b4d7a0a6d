/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Deletes the region and frees the device memory that its endpoint decoders had reserved, on every card of the interleave
 * set: a peer that keeps the reservation cannot be used for a new region. The way back creates the region again, under
 * whatever name the kernel gives (drivers/cxl/core/region.c:create_ram_region_store takes only the next free number), and
 * insists on the same addresses. */
#include <errno.h>

#include "kernel/cxl/cxl-region.h"
#include "kernel/sysfs/attr.h"
#include "step/step.h"
#include "step/undo/region-create.h"

static void delete_describe(json_object *args, char **ret_does, char **ret_undo) {
        json_object *region = json_get(args, "region");
        const char *root = json_str(region, "root"), *name = json_str(region, "name");
        size_t n = json_len(json_array(region, "targets"));

        *ret_does = strf("write %s to /sys/bus/cxl/devices/%s/delete_region; write 0 to dpa_size of its %zu endpoint decoder%s",
                         name, root, n, n == 1 ? "" : "s");
        *ret_undo = strf("create the region again through /sys/bus/cxl/devices/%s/create_%s_region with the same decoders, "
                         "size and interleave", root, json_str(region, "mode"));
}

/* How much device memory the targets' decoders still reserve. */
static int reserved_count(json_object *region, size_t *ret) {
        json_object *targets = json_array(region, "targets");
        size_t reserved = 0;

        for (size_t i = 0; i < json_len(targets); i++) {
                _cleanup_free_ char *decoder = NULL;
                uint64_t size = 0;

                int r = region_target_decoder(json_at(targets, i), &decoder);
                if (r == -ENODEV)
                        continue;
                if (r >= 0)
                        r = attr_read_u64f(&size, "/sys/bus/cxl/devices/%s/dpa_size", decoder);
                if (r < 0)
                        return r;
                reserved += size > 0;
        }
        *ret = reserved;
        return 0;
}

static int delete_verify(json_object *args, StepRun *run) {
        json_object *region = json_get(args, "region");
        _cleanup_free_ char *name = NULL;
        bool complete = false;
        size_t reserved = 0;

        int r = region_find(region, &name, &complete);
        if (r >= 0)
                return complete ? STEP_NOT_APPLIED : STEP_PARTLY_APPLIED;
        if (r == -ENODEV)
                r = reserved_count(region, &reserved);
        if (r < 0)
                return step_fail(run, r, "the decoders of %s cannot be read: %s", json_str(region, "name"), strerror(-r));
        return reserved > 0 ? STEP_PARTLY_APPLIED : STEP_APPLIED;
}

static int delete_apply(json_object *args, StepRun *run) {
        return region_remove(json_get(args, "region"), run);
}

/* A region that cannot come back as it was is not left half made: its number and device memory are free for whoever sorts it
 * out. While a write is under way nothing else is written: whoever goes on when it has come to its end finds what it has made. */
static int delete_revert(json_object *args, StepRun *run) {
        json_object *region = json_get(args, "region");
        StepRun quiet = { .limits = run->limits };

        int r = region_create(region, run);
        if (r < 0 && r != -EINPROGRESS) {
                int q = region_remove(region, &quiet);
                step_run_done(&quiet);
                _cleanup_free_ char *left = NULL, *delete = q < 0 && region_find_begun(region, &left) >= 0 ?
                        strf("echo %s > /sys/bus/cxl/devices/%s/delete_region; ", left, json_str(region, "root")) : NULL;
                step_remedy(run, "%scxl create-region -m -t %s -d %s  # once its place is free, with the targets that the plan names", delete ?: "",
                            json_str(region, "mode"), json_str(region, "root"));
        }
        return r;
}

const StepOps step_delete_region_ops = {
        .needs_card = true,
        .typical_usec = 50000,
        .args = "region:o",
        .describe = delete_describe,
        .apply = delete_apply,
        .revert = delete_revert,
        .verify = delete_verify,
};
