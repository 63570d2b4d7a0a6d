/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The kernel's policy for memory blocks that appear. It is off while the card's memory is being taken down: a way back adds
 * the blocks again, and each must then go into the zone it was in, not where the policy says (mm/memory_hotplug.c:
 * add_memory_resource onlines by mhp_default_online_type). The same step type, the other way round, puts the
 * administrator's choice back before the end of the way forward.
 *
 * What others add meanwhile is brought online behind it (newcomers.h). A restoration has the same frame: the step that opens it (the undo of
 * turning it on) notes, the one that closes it looks there, and leaves the card's `own`. */
#include "kernel/memory/memory-block.h"
#include "step/ending/newcomers.h"
#include "step/step.h"

/* By this step, or by the one before it that turned the policy off; NULL: by none. */
static json_object *blocks_before(StepRun *run) {
        json_object *before = newcomers_noted(run->notes);

        for (uint64_t n = run->n; n > 0 && !before; n--)
                before = newcomers_noted(step_notes_of(run, n - 1));
        return before;
}

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
        const char *value = json_str(args, "value");

        int r = streq(value, "offline") ? newcomers_note(run) : 0;
        if (r >= 0)
                r = step_write(run, AUTO_ONLINE_PATH, value);
        if (r >= 0 && json_has(args, "of"))
                newcomers_bring_online(newcomers_noted(step_notes_of(run, json_u64(args, "of"))), NULL, value, run);
        return r;
}

static int auto_online_revert(json_object *args, StepRun *run) {
        const char *was = json_str(args, "was");

        /* What somebody else has written over ours is theirs. (With a note this is asked whatever verify() says.) */
        int state = auto_online_verify(args, run), r = state < 0 ? state : 0;
        if (r >= 0 && streq(was, "offline") && !blocks_before(run))
                r = newcomers_note(run);
        if (r >= 0 && state == STEP_APPLIED)
                r = step_write(run, AUTO_ONLINE_PATH, was);
        if (r >= 0)
                newcomers_bring_online(blocks_before(run), json_array(args, "own"), was, run);
        return r;
}

const StepOps step_auto_online_ops = {
        .needs_card = false, /* the machine's policy, not the card's */
        .meanwhile = MEANWHILE_BACK,
        .typical_usec = 5000,
        .args = "value:s was:s",
        .describe = auto_online_describe,
        .apply = auto_online_apply,
        .revert = auto_online_revert,
        .verify = auto_online_verify,
};
