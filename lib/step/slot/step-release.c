/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The opposite of hold, on the way forward: pciehp is bound again so that it can power the slot off. The indicators stay as
 * they are; pciehp turns them off with the power. The undo is long from here (decoders, memory), so it begins by
 * holding the slot again. */
#include <errno.h>

#include "base/clock.h"
#include "kernel/pci/held-slot.h"
#include "kernel/pci/pcie-slot.h"
#include "step/evict/hotplug-service.h"

static void release_describe(json_object *args, char **ret_does, char **ret_undo) {
        *ret_does = hotplug_service_describe_give(args);
        *ret_undo = hotplug_service_describe_take(args);
}

/* The last moment at which a press says that the technician has changed their mind: binding clears Slot Status
 * (drivers/pci/hotplug/pciehp_hpc.c:pcie_init). */
static int release_check(json_object *args, StepRun *run) {
        SlotRegisters s;

        if (json_flag(args, "no_way_back"))
                return 0;
        if (slot_registers_read(json_str(args, "port"), &s) >= 0 && s.button_pressed)
                return step_fail(run, -ECANCELED, "the slot's button was pressed again");
        return 0;
}

/* Between the check and here lie the record's fsync and the look at the card's identity. From the moment that the driver is back the slot looks like
 * one whose button was pressed, to a guard that was started just now. The daemon may have ended, so we leave the note ourselves, first. */
static int release_apply(json_object *args, StepRun *run) {
        const char *port = json_str(args, "port");

        int r = release_check(args, run);
        if (r < 0)
                return r;
        (void) held_note(port, HELD_YIELDED, now_monotonic());
        r = hotplug_service_give(args, run);
        if (r < 0 && r != -EINPROGRESS && r != -ETIME) /* one that hangs may come to it yet */
                (void) held_note(port, HELD_YIELDED, 0);
        return r;
}

static int release_verify(json_object *args, StepRun *run) {
        int r = hotplug_service_driven(args, run);

        return r < 0 ? r : r > 0 ? STEP_APPLIED : STEP_NOT_APPLIED;
}

const StepOps step_release_ops = {
        .in_tail = true,
        .needs_card = true,
        .typical_usec = 50000,
        .args = "port:s service:s",
        .describe = release_describe,
        .check = release_check,
        .apply = release_apply,
        .revert = hotplug_service_take,
        .verify = release_verify,
};
