/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Thaws the processes that are still frozen, after the last step that one of them could disturb. Nothing of the card is
 * left to use then; memory has moved. Its undo does nothing: they run. */
#include "step/evict/holder-freeze.h"

static void thaw_describe(json_object *args, char **ret_does, char **ret_undo) {
        *ret_does = strf("thaw the processes that are still frozen by step %ju, last first", (uintmax_t) json_u64(args, "of") + 1);
}

static int thaw_apply(json_object *args, StepRun *run) {
        return freeze_notes_undo(step_notes_of(run, json_u64(args, "of")), run);
}

static int thaw_verify(json_object *args, StepRun *run) {
        bool frozen = freeze_notes_in_force(step_notes_of(run, json_u64(args, "of")));

        return frozen || run->backwards ? STEP_NOT_APPLIED : STEP_APPLIED;
}

const StepOps step_thaw_holders_ops = {
        .typical_usec = 10000,
        .args = "of:u",
        .describe = thaw_describe,
        .apply = thaw_apply,
        .verify = thaw_verify,
};
