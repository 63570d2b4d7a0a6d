/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Asks every probe afresh. Nothing is written: this step can only say no. */
#include <errno.h>

#include "probe/probe.h"
#include "step/step.h"

static void prove_describe(json_object *args, char **ret_does, char **ret_undo) {
        *ret_does = strf("ask the kernel afresh: no memory block, no /proc/iomem entry, no region, no PCI function, no memdev, "
                         "slot power off, power LED off");
}

static int prove_apply(json_object *args, StepRun *run) {
        json_object *scope = json_get(args, "scope");
        _cleanup_free_ char *why = NULL;

        if (probes_ask(scope, false, &why))
                return 0;
        step_remedy(run, "safe-remove remove %s  # and leave the card in until that says safe", json_str(scope, "slot"));
        return step_fail(run, -EBUSY, "not proven safe: %s", why);
}

static int prove_verify(json_object *args, StepRun *run) {
        _cleanup_free_ char *why = NULL;

        return probes_ask(json_get(args, "scope"), false, &why) ? STEP_APPLIED : STEP_NOT_APPLIED;
}

const StepOps step_prove_safe_ops = {
        .irreversible = true,
        .typical_usec = 20000,
        .args = "scope:o",
        .describe = prove_describe,
        .apply = prove_apply,
        .verify = prove_verify,
};
