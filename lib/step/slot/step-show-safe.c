/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Sets the light. pciehp has turned the power indicator off with the power. What still keeps the slot from saying "safe to pull" is the
 * attention indicator, which is on since before the power went. It is turned off on answers of prove-safe that are 50 ms old at most
 * (undo/prove.c; some are from the power-off's second where nothing has changed since, probe/early.c), or else on a
 * proof that is asked anew. After that the whole proof is asked once more, and both indicators are read back. */
#include <errno.h>

#include "led/led.h"
#include "step/undo/prove.h"

static void show_describe(json_object *args, char **ret_does, char **ret_undo) {
        json_object *scope = json_get(args, "scope");
        bool power = json_flag(scope, "power_indicator"), attention = json_flag(scope, "attention_indicator");
        _cleanup_free_ char *write = attention ? strf("write 0 to /sys/bus/pci/slots/%s/attention; ", json_str(scope, "slot")) : NULL;

        *ret_does = strf("%s%s%s%s: safe to pull", write ?: "", power ? "power LED off" : "", power && attention ? " and " : "",
                         attention ? "attention LED off" : power ? "" : "no LED to set");
}

static bool indicator_is_off(json_object *scope) {
        SlotRegisters s;

        if (!json_flag(scope, "attention_indicator"))
                return true;
        return slot_registers_read(json_str(scope, "port"), &s) >= 0 && s.attention == INDICATOR_OFF;
}

static int show_verify(json_object *args, StepRun *run) {
        _cleanup_free_ char *why = NULL;

        /* A light that was off already says nothing before the answers are on record. */
        if (!indicator_is_off(json_get(args, "scope")) || !prove_noted(run))
                return STEP_NOT_APPLIED;
        if (prove_ask(args, run, false, &why))
                return STEP_APPLIED;
        (void) step_fail(run, -EBUSY, "not proven safe: %s", why);
        return STEP_PARTLY_APPLIED;
}

static int show_apply(json_object *args, StepRun *run) {
        json_object *scope = json_get(args, "scope");

        int r = prove_note(args, run);
        if (r == -EBUSY)
                prove_remedy(args, run);
        if (r < 0 || indicator_is_off(scope))
                return r;
        r = led_attention(json_str(scope, "port"), json_str(scope, "address"), INDICATOR_OFF);
        if (r < 0)
                return step_fail(run, r, "the attention LED of slot %s cannot be turned off: %s", json_str(scope, "slot"), led_strerror(r));
        return 0;
}

const StepOps step_show_safe_ops = {
        .irreversible = true,
        .typical_usec = 20000,
        .args = "scope:o",
        .describe = show_describe,
        .apply = show_apply,
        .verify = show_verify,
};
