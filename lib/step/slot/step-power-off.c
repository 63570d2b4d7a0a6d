/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Powers the slot off: pciehp removes the PCI functions with their drivers, waits the specified second, turns the power
 * indicator off (drivers/pci/hotplug/pciehp_ctrl.c:remove_board). From here on there is no way back, so every question
 * that can be asked with the card still there is asked once more right before the write. */
#include <errno.h>

#include "base/clock.h"
#include "kernel/block/claims.h"
#include "kernel/pci/pcie-slot.h"
#include "led/led.h"
#include "probe/probe.h"
#include "step/evict/hotplug-service.h"
#include "step/undo/prove.h"

static void power_describe(json_object *args, char **ret_does, char **ret_undo) {
        json_object *scope = json_get(args, "scope");
        const char *slot = json_str(scope, "slot");

        *ret_does = json_flag(scope, "attention_indicator") ?
                strf("write 1 to /sys/bus/pci/slots/%s/attention, until it is proven safe; write 0 to /sys/bus/pci/slots/%s/power",
                     slot, slot) :
                strf("write 0 to /sys/bus/pci/slots/%s/power", slot);
}

static int is_ready(json_object *args, StepRun *run) {
        _cleanup_free_ char *why = NULL;

        return prove_ask(args, run, true, &why) ? 0 : step_fail(run, -EBUSY, "not ready to lose power: %s", why);
}

/* Whether it is ready is asked right before the write, where a no still leads back. Who goes on for another worker has no way back from there
 * (engine_can_go_back()), and asks here as well. */
static int power_check(json_object *args, StepRun *run) {
        _cleanup_free_ char *path = NULL;

        int r = hotplug_power_path(json_get(args, "scope"), run, &path);
        return r < 0 || !run->resumed ? r : is_ready(args, run);
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

/* The policy accepts what no light can prevent; the record and the certificate say that it happened. */
static int note_dark_light(const char *slot, StepRun *run) {
        for (size_t i = 0; i < json_len(run->notes); i++)
                if (json_str(json_at(run->notes, i), "forced"))
                        return 0;
        json_object *note = json_object_new_object();
        json_set_strf(note, "forced", "dark-light: the power LED of slot %s went dark before the proof", slot);
        return step_note(run, note);
}

/* pciehp turns the power indicator off by itself, which reads "safe to pull" with the attention indicator off, before anybody
 * has looked whether it is. So the attention indicator is on from here until the proof is there; a worker that dies in between
 * leaves a light that says "not yet". */
static int light_veil(json_object *scope, StepRun *run) {
        const char *slot = json_str(scope, "slot");

        if (!json_flag(scope, "attention_indicator"))
                return json_flag(scope, "power_indicator") ? note_dark_light(slot, run) : 0;
        int r = led_attention(json_str(scope, "port"), json_str(scope, "address"), INDICATOR_ON);
        if (r < 0 && r != -EOPNOTSUPP)
                return step_fail(run, r, "the attention LED of slot %s cannot be turned on: %s", slot, strerror(-r));
        return 0;
}

/* Processes that wait for the card to be gone. The power-off takes a second, and they less. */
static void ask_meanwhile(void *scope) {
        early_begin(scope);
        libraries_begin(scope);
}

static int power_write(json_object *args, StepRun *run) {
        json_object *scope = json_get(args, "scope");
        _cleanup_free_ char *path = NULL, *slot = slot_word(json_str(scope, "slot")), *switch_path = NULL;

        /* The veil first: it may take as long as a write may, and nothing is to lie between the last question and the power. Where the answer
         * is no, the way back restores the light (step-hold.c). */
        int r = light_veil(scope, run);
        if (r >= 0)
                r = hotplug_power_path(scope, run, &path);
        if (r >= 0) {
                switch_path = shell_quoted(path);
                /* Where somebody else has switched it off meanwhile the write is refused. */
                step_remedy(run, "echo 0 > %s; safe-remove remove %s", switch_path, slot);
                r = is_ready(args, run);
        }
        if (r < 0)
                return r;
        r = step_write_meanwhile(run, path, "0", ask_meanwhile, scope);

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

static int power_apply(json_object *args, StepRun *run) {
        /* Where somebody else has done it the light says "safe to pull" unproven: that is all there is left to do. */
        int r = power_verify(args, run) == STEP_APPLIED ? light_veil(json_get(args, "scope"), run) : power_write(args, run);

        /* The proof asks who has them open, and that would be us. */
        claims_sweep();
        return r;
}

const StepOps step_power_off_ops = {
        .irreversible = true,
        .takes_power = true,
        .needs_card = true,
        .typical_usec = 1100000, /* the specification's second between power off and link off */
        .args = "scope:o",
        .describe = power_describe,
        .check = power_check,
        .apply = power_apply,
        .verify = power_verify,
};
