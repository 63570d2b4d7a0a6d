/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Tells listeners (PrepareForRemoval on the bus) and gives them the time that the policy grants, before anything is
 * taken down. Nothing in the kernel changes, so a worker that resumes the removal grants the time again. */
#include "base/clock.h"
#include "step/step.h"

static void announce_describe(json_object *args, char **ret_does, char **ret_undo) {
        *ret_does = strf("announce the removal and wait %ju s", (uintmax_t) json_u64(args, "grace_sec"));
}

static int announce_verify(json_object *args, StepRun *run) {
        bool over = run->announced_until > 0 && now_monotonic() >= run->announced_until;

        return over ? STEP_APPLIED : STEP_NOT_APPLIED;
}

static int announce_apply(json_object *args, StepRun *run) {
        uint64_t grace = json_u64(args, "grace_sec"), start = now_monotonic();

        run->announced_until = start + grace * USEC_PER_SEC;
        if (run->announce)
                run->announce(run->userdata, run->announced_until);

        while (now_monotonic() < run->announced_until) {
                if (step_cancelled(run))
                        return step_fail(run, -ECANCELED, "cancelled in the grace time, before anything was taken down");
                step_pause(run, 500);
                uint64_t passed = (now_monotonic() - start) / USEC_PER_SEC;
                step_progress(run, passed > grace ? grace : passed, grace, "waiting for listeners");
        }
        return 0;
}

const StepOps step_announce_ops = {
        .needs_card = true,
        .args = "grace_sec:u",
        .describe = announce_describe,
        .apply = announce_apply,
        .verify = announce_verify,
};
