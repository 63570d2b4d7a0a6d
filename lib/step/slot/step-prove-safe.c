/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Asks every probe afresh, but for what was asked while the power went and still holds (probe/early.c). Nothing is written to the kernel: this
 * step can only say no. */
#include <errno.h>

#include "probe/probe.h"
#include "step/undo/prove.h"

/* A question that is not here is told as it is put. */
static const struct {
        const char *probe, *words;
} in_short[] = {
        { "processes", "no process" },
        { "mounts", "no mount" },
        { "references", "no reference to its disks" },
        { "below-port", "nothing unknown below the port" },
        { "block-devices", "no disk" },
        { "goes-on", "another path for what goes on" },
        { "kernel-users", "no user in the kernel" },
        { "memory-blocks", "no memory block" },
        { "iomem", "no /proc/iomem entry" },
        { "regions", "no region" },
        { "decoders", "no decoder" },
        { "drivers", "no driver" },
        { "functions", "no PCI function" },
        { "memdevs", "no memdev" },
        { "power", "slot power off" },
        { "link", "link down" },
        { "indicators", "power LED off" },
        { "libraries", "no library that sees it" },
        { "kernel-log", "no complaint in the kernel log" },
};

static const char *words_of(const Probe *p) {
        for (size_t i = 0; i < ELEMENTSOF(in_short); i++)
                if (streq(in_short[i].probe, p->name))
                        return in_short[i].words;
        return p->question;
}

static void prove_describe(json_object *args, char **ret_does, char **ret_undo) {
        _cleanup_free_ char *text = NULL;

        for (const Probe *const *p = probes; *p; p++)
                (void) text_add(&text, ", ", "%s", words_of(*p));
        *ret_does = strf("ask the kernel afresh: %s", text ?: "");
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
