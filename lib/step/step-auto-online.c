/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The kernel's policy for memory blocks that appear. It is off while the card's memory is being taken down: a way back adds
 * the blocks again, and each must then go into the zone it was in, not where the policy says (mm/memory_hotplug.c:
 * add_memory_resource onlines by mhp_default_online_type). The same step type, the other way round, puts the
 * administrator's choice back before the end of the way forward. */
#include "kernel/memory-block.h"
#include "step/step.h"

static void auto_online_describe(json_object *args, char **ret_does, char **ret_undo) {
        *ret_does = strf("write %s to " AUTO_ONLINE_PATH, json_str(args, "value"));
        *ret_undo = strf("write %s to " AUTO_ONLINE_PATH, json_str(args, "was"));
}

static int auto_online_verify(json_object *args, StepRun *run) {
        _cleanup_free_ char *now = NULL;

        int r = auto_online_policy_read(&now);
        if (r < 0)
                return step_fail(run, r, AUTO_ONLINE_PATH " cannot be read: %s", strerror(-r));
        return streq(now, json_str(args, "value")) ? STEP_APPLIED : STEP_NOT_APPLIED;
}

static int auto_online_apply(json_object *args, StepRun *run) {
        return step_write(run, AUTO_ONLINE_PATH, json_str(args, "value"));
}

static int auto_online_revert(json_object *args, StepRun *run) {
        return step_write(run, AUTO_ONLINE_PATH, json_str(args, "was"));
}

const StepOps step_auto_online_ops = {
        .needs_card = false, /* the machine's policy, not the card's */
        .typical_usec = 5000,
        .args = "value:s was:s",
        .describe = auto_online_describe,
        .apply = auto_online_apply,
        .revert = auto_online_revert,
        .verify = auto_online_verify,
};
