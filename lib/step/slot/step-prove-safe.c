/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Asks every probe afresh, but for what was asked while the power went and still holds (probe/early.c). Nothing is written to the kernel: this
 * step can only say no. */
#include <errno.h>

#include "step/undo/prove.h"

static void prove_describe(json_object *args, char **ret_does, char **ret_undo) {
        *ret_does = strf("ask the kernel afresh: no process, no memory block, no /proc/iomem entry, no region, no decoder, no PCI function, "
                         "no memdev, slot power off, link down, power LED off, no complaint in the kernel log");
}

static int prove_apply(json_object *args, StepRun *run) {
        int r = prove_note(args, run);
        if (r == -EBUSY)
                prove_remedy(args, run);
        return r;
}

static int prove_verify(json_object *args, StepRun *run) {
        _cleanup_free_ char *why = NULL;

        return prove_all(args, run, &why) ? STEP_APPLIED : STEP_NOT_APPLIED;
}

const StepOps step_prove_safe_ops = {
        .irreversible = true,
        .typical_usec = 20000,
        .args = "scope:o",
        .describe = prove_describe,
        .apply = prove_apply,
        .verify = prove_verify,
};
