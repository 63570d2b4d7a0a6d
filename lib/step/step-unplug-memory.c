/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The whole device at once, where the kernel offers it: the `state` attribute of a dax device takes every block offline and
 * removes the memory, or leaves all as it was (drivers/dax/kmem.c). Replaces the walk over the blocks; the kmem driver
 * stays bound and is taken off by the next step. */
#include <errno.h>

#include "kernel/attr.h"
#include "kernel/dax.h"
#include "kernel/write.h"
#include "step/step.h"

static void unplug_describe(json_object *args, char **ret_does, char **ret_undo) {
        *ret_does = strf("write unplugged to /sys/bus/dax/devices/%s/state", json_str(args, "dax"));
        *ret_undo = strf("write %s to /sys/bus/dax/devices/%s/state", json_str(args, "was"), json_str(args, "dax"));
}

static int state_read(json_object *args, char **ret_name, char **ret_state) {
        _cleanup_free_ char *name = NULL;

        int r = dax_find(json_u64(args, "start"), &name);
        if (r < 0)
                return r;
        r = attr_readf(ret_state, "/sys/bus/dax/devices/%s/state", name);
        if (r < 0)
                return r;
        *ret_name = TAKE_PTR(name);
        return 0;
}

static int unplug_verify(json_object *args, StepRun *run) {
        _cleanup_free_ char *name = NULL, *state = NULL;

        int r = state_read(args, &name, &state);
        if (r == -ENODEV)
                return STEP_APPLIED;
        if (r < 0)
                return step_fail(run, r, "the state of %s cannot be read: %s", json_str(args, "dax"), strerror(-r));
        return streq(state, "unplugged") ? STEP_APPLIED :
               streq(state, json_str(args, "was")) ? STEP_NOT_APPLIED : STEP_PARTLY_APPLIED;
}

static int state_write(json_object *args, const char *word, StepRun *run) {
        const WriteOptions options = {
                .kind = WRITE_INTERRUPTIBLE,
                .timeout_usec = run->limits->offline_timeout_usec * (json_u64(args, "n_blocks") ?: 1),
                .cancelled = run->ignore_cancel ? NULL : run->cancelled,
                .userdata = run->userdata,
        };
        _cleanup_free_ char *name = NULL, *state = NULL, *path = NULL;

        int r = step_region_check(args, run);
        if (r < 0)
                return r;
        r = state_read(args, &name, &state);
        if (r < 0)
                return step_fail(run, r, "dax device %s is not there: %s", json_str(args, "dax"), strerror(-r));
        path = strf("/sys/bus/dax/devices/%s/state", name);
        if (!path)
                return -ENOMEM;

        r = kernel_write(path, word, &options);
        if (r < 0) {
                step_remedy(run, "echo %s > %s", word, path);
                return step_fail(run, r, "writing %s to %s: %s", word, path, strerror(-r));
        }
        return 0;
}

static int unplug_apply(json_object *args, StepRun *run) {
        return state_write(args, "unplugged", run);
}

static int unplug_revert(json_object *args, StepRun *run) {
        return state_write(args, json_str(args, "was"), run);
}

const StepOps step_unplug_memory_ops = {
        .needs_card = true,
        .args = "dax:s start:u was:s n_blocks:u region:o",
        .describe = unplug_describe,
        .apply = unplug_apply,
        .revert = unplug_revert,
        .verify = unplug_verify,
};
