/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Hides the node of a dax device, so that no process opens it while its users are found and ended. */
#include <errno.h>

#include "kernel/mounts/mountinfo.h"
#include "kernel/sysfs/attr.h"
#include "kernel/sysfs/fence.h"
#include "step/step.h"

static void fence_describe(json_object *args, char **ret_does, char **ret_undo) {
        *ret_does = strf("hide %s, so that nobody opens it anew", json_str(args, "node"));
        *ret_undo = strf("give %s its name back", json_str(args, "node"));
}

/* Hidden, or gone with its device: either way nobody opens it. */
static int fence_verify(json_object *args, StepRun *run) {
        const char *node = json_str(args, "node");

        if (run->backwards) {
                fence_sweep();
                return fence_exists(node) ? STEP_APPLIED : STEP_NOT_APPLIED;
        }
        return path_existsf("%s", node) ? STEP_NOT_APPLIED : STEP_APPLIED;
}

static int fence_apply(json_object *args, StepRun *run) {
        const char *node = json_str(args, "node");
        dev_t dev;

        int r = dev_parse(json_str(args, "dev"), &dev);
        if (r >= 0)
                r = fence_hide(node, dev);
        if (r == -ENOENT)
                return 0;
        if (r == -ESTALE)
                return step_fail(run, r, "%s is not device %s any more", node, json_str(args, "dev"));
        return r < 0 ? step_fail(run, r, "%s cannot be renamed: %s", node, strerror(-r)) : 0;
}

static int fence_revert(json_object *args, StepRun *run) {
        const char *node = json_str(args, "node");

        int r = fence_show(node);
        _cleanup_free_ char *hidden = r < 0 ? fence_hidden_name(node) : NULL, *from = shell_quoted(hidden), *to = shell_quoted(node);
        if (from && to)
                step_remedy(run, "mv -n %s %s", from, to);
        return r < 0 ? step_fail(run, r, "%s cannot be renamed back: %s", node, strerror(-r)) : 0;
}

const StepOps step_fence_dax_ops = {
        .typical_usec = 1000,
        .args = "dax:s dev:s node:s",
        .describe = fence_describe,
        .apply = fence_apply,
        .revert = fence_revert,
        .verify = fence_verify,
};
