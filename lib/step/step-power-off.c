/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Powers the slot off: pciehp removes the PCI functions with their drivers, waits the specified second, turns the power
 * indicator off (drivers/pci/hotplug/pciehp_ctrl.c:remove_board). From here on there is no way back, so every question
 * that can be asked with the card still there is asked once more right before the write. */
#include <errno.h>

#include "base/clock.h"
#include "kernel/attr.h"
#include "led/led.h"
#include "probe/probe.h"
#include "step/prove.h"

static void power_describe(json_object *args, char **ret_does, char **ret_undo) {
        json_object *scope = json_get(args, "scope");
        const char *slot = json_str(scope, "slot");

        *ret_does = json_flag(scope, "attention_indicator") ?
                strf("write 1 to /sys/bus/pci/slots/%s/attention, until it is proven safe; write 0 to /sys/bus/pci/slots/%s/power",
                     slot, slot) :
                strf("write 0 to /sys/bus/pci/slots/%s/power", slot);
}

/* Slots of the same number get their names in the order in which pciehp comes to them (drivers/pci/slot.c:make_slot_name): the
 * name may be another slot's by now. */
static int slot_check(json_object *scope, StepRun *run) {
        _cleanup_free_ char *address = NULL;
        const char *slot = json_str(scope, "slot");

        if (attr_readf(&address, "/sys/bus/pci/slots/%s/address", slot) >= 0 && streq_ptr(address, json_str(scope, "address")))
                return 0;
        return step_fail(run, -ESTALE, "slot %s is at %s, the plan was made for %s", slot, address ?: "no address",
                         json_str(scope, "address"));
}

static int power_check(json_object *args, StepRun *run) {
        _cleanup_free_ char *why = NULL;

        int r = slot_check(json_get(args, "scope"), run);
        if (r < 0)
                return r;

        if (!prove_ask(args, run, true, &why))
                return step_fail(run, -EBUSY, "not ready to lose power: %s", why);
        return 0;
}

/* The indicator blinks until the second after the power is over (drivers/pci/hotplug/pciehp_ctrl.c:remove_board). */
static bool is_under_way(json_object *scope) {
        SlotRegisters s;

        return json_flag(scope, "power_indicator") && slot_registers_read(json_str(scope, "port"), &s) >= 0 &&
               s.power == INDICATOR_BLINK;
}

static int power_verify(json_object *args, StepRun *run) {
        json_object *scope = json_get(args, "scope");
        _cleanup_free_ char *why = NULL;

        int functions = probe_functions.ask(scope, &why);
        if (functions < 0)
                return step_fail(run, functions, "the card's functions cannot be looked up: %s", strerror(-functions));
        free(TAKE_PTR(why));

        int power = probe_power.ask(scope, &why);
        if (power < 0)
                return step_fail(run, power, "the power of slot %s cannot be read: %s", json_str(scope, "slot"), strerror(-power));

        /* Without a power controller the second question always holds, and the first alone decides. */
        if (!functions && (!power || !json_flag(scope, "power_controller")))
                return STEP_NOT_APPLIED;
        return functions && power && !is_under_way(scope) ? STEP_APPLIED : STEP_PARTLY_APPLIED;
}

/* pciehp turns the power indicator off by itself, which reads "safe to pull" with the attention indicator off, before anybody
 * has looked whether it is. So the attention indicator is on from here until the proof is there; a worker that dies in between
 * leaves a light that says "not yet". */
static int light_veil(json_object *scope, StepRun *run) {
        const char *slot = json_str(scope, "slot");

        if (!json_flag(scope, "attention_indicator"))
                return 0;
        int r = led_attention(slot, json_str(scope, "port"), INDICATOR_ON);
        if (r < 0 && r != -EOPNOTSUPP)
                return step_fail(run, r, "the attention LED of slot %s cannot be turned on: %s", slot, strerror(-r));
        return 0;
}

static int power_apply(json_object *args, StepRun *run) {
        json_object *scope = json_get(args, "scope");
        const char *slot = json_str(scope, "slot");
        _cleanup_free_ char *path = strf("/sys/bus/pci/slots/%s/power", slot);
        if (!path)
                return -ENOMEM;

        int r = power_check(args, run);
        if (r >= 0)
                r = light_veil(scope, run);
        if (r < 0)
                return r;
        step_remedy(run, "echo 0 > %s && safe-remove remove %s", path, slot);
        r = step_write(run, path, "0");

        /* -ENODEV says that a power-off is under way already: the write of a worker that died. It ends by itself; the
         * kernel has no event for it that we could wait for. */
        uint64_t deadline = now_monotonic() + run->limits->write_timeout_usec;
        while (r == -ENODEV && now_monotonic() < deadline) {
                if (power_verify(args, run) == STEP_APPLIED)
                        return 0;
                step_pause(run, 100);
        }
        return r;
}

const StepOps step_power_off_ops = {
        .irreversible = true,
        .needs_card = true,
        .typical_usec = 1100000, /* the specification's second between power off and link off */
        .args = "scope:o",
        .describe = power_describe,
        .check = power_check,
        .apply = power_apply,
        .verify = power_verify,
};
