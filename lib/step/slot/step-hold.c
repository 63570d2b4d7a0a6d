/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Holds the slot: unbinds the hot-plug service driver from the port. That cancels the delayed work that would power
 * the slot off 5 s after a button press (drivers/pci/hotplug/pciehp_hpc.c:pciehp_release_ctrl). The card
 * stays up, and only this removal decides about it until the driver is bound again. Meanwhile the power indicator blinks, as the
 * specification asks while a removal is pending: after a press it does already, for a command we set it. */
#include "kernel/pci/held-slot.h"
#include "led/led.h"
#include "step/evict/hotplug-service.h"

static void hold_describe(json_object *args, char **ret_does, char **ret_undo) {
        _cleanup_free_ char *take = hotplug_service_describe_take(args);
        _cleanup_free_ char *give = hotplug_service_describe_give(args);

        *ret_does = strf("%s; power LED blinks", take);
        *ret_undo = strf("power LED %s, attention LED %s; %s",
                         json_str(args, "power_led"), json_str(args, "attention_led"), give);
}

static bool power_led_blinks(json_object *args) {
        SlotRegisters s;

        return slot_registers_read(json_str(args, "port"), &s) >= 0 && s.power == INDICATOR_BLINK;
}

/* A slot that pciehp drives and that blinks all the same has a power-off pending in the kernel, or was left blinking. */
static int hold_verify(json_object *args, StepRun *run) {
        int r = hotplug_service_driven(args, run);

        /* The port went away with the slot around it: nothing is held there. */
        if (r == -ENODEV)
                return STEP_NOT_APPLIED;
        return r < 0 ? r : r == 0 ? STEP_APPLIED :
               power_led_blinks(args) && !run->light_closed ? STEP_PARTLY_APPLIED : STEP_NOT_APPLIED;
}

static Indicator indicator_arg(json_object *args, const char *key) {
        int i = indicator_from_string(json_str(args, key));

        return i < 0 ? INDICATOR_RESERVED : (Indicator) i;
}

static int hold_revert(json_object *args, StepRun *run) {
        int r = hotplug_service_driven(args, run);
        if (r == -ENODEV)
                return 0;
        if (r < 0)
                return r;

        /* Still driven and blinking: only taking it ends what the kernel has pending. */
        if (r > 0 && power_led_blinks(args)) {
                r = hotplug_service_take(args, run);
                if (r < 0)
                        return r;
        }

        /* Before the driver is back: then nobody else writes Slot Control, nobody but us would ever end the blinking, and a
         * second press, which has been answered by coming here, must not be taken for a first one. */
        if (r == 0) {
                const char *port = json_str(args, "port");
                /* A removal that was about to let it go for its power-off has noted that: a press is to be answered again from the bind on. */
                (void) held_note(port, HELD_YIELDED, 0);
                int q = led_show_held(port, indicator_arg(args, "power_led"), step_attention(run, port, indicator_arg(args, "attention_led")));
                run->light_closed = q == -EPERM || q == -EACCES;
                if (q != -EINPROGRESS)
                        q = slot_button_clear(port);
                if (q == -EINPROGRESS)
                        return step_fail(run, q, "a write to the registers of port %s has not come back", port);
        }
        return hotplug_service_give(args, run);
}

const StepOps step_hold_ops = {
        .urgent = true,
        .needs_card = false, /* giving the slot back must work whatever sits in it */
        .meanwhile = MEANWHILE_BACK,
        .typical_usec = 50000,
        .args = "port:s service:s power_led:s attention_led:s",
        .describe = hold_describe,
        .apply = hotplug_service_take,
        .revert = hold_revert,
        .verify = hold_verify,
};
