/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A self-test's last step, after the light has said "safe": the slot gets its power back, and the same card has to be there again, with its driver.
 * pciehp switches the power on first, blinks the power indicator then, and turns it on at the end (drivers/pci/hotplug/pciehp_ctrl.c:board_added). So
 * the attention indicators of all slots that are still to get their power are on before the first of them does: no light says "safe" over a slot
 * whose power may come at any moment. What stood on the card is for a restoration to put back: names and addresses may be others by now. */
#include <errno.h>

#include "base/clock.h"
#include "kernel/cxl/card-serial.h"
#include "kernel/pci/pcie-slot.h"
#include "kernel/sysfs/attr.h"
#include "led/led.h"
#include "probe/probe.h"
#include "step/evict/hotplug-service.h"

enum {
        LOOK_MSEC = 100, /* drivers are bound by work of the kernel's own, of whose end nothing tells */
};

static void power_on_describe(json_object *args, char **ret_does, char **ret_undo) {
        const char *slot = json_str(json_get(args, "scope"), "slot");
        size_t n = json_len(json_array(args, "slots"));
        _cleanup_free_ char *others = n > 1 ? strf(" (and of %zu more that get theirs after it)", n - 1) : NULL;

        *ret_does = strf("write 1 to /sys/bus/pci/slots/%s/attention%s, until the power LED says that there is power; write 1 to "
                         "/sys/bus/pci/slots/%s/power, wait until the same card is there again", slot, others ?: "", slot);
}

/* Newly allocated. 0: it is there and is the card of the plan; -ENODEV: not yet; -ESTALE: it is another one. */
static int function_is_back(json_object *function, char **ret_why) {
        const char *bdf = json_str(function, "bdf"), *serial = json_str(function, "serial");
        _cleanup_free_ char *now = NULL;

        if (!bdf)
                return 0;
        int r = json_str(function, "memdev") ? memdev_serial(bdf, &now) : serial ? nvme_serial(bdf, &now) : path_existsf("/sys/bus/pci/devices/%s/vendor", bdf) ? 0 : -ENODEV;
        if (r < 0) {
                *ret_why = strf("%s is not there again, or not ready", bdf);
                return -ENODEV;
        }
        if (!now || streq(now, serial ?: "0x0"))
                return 0;
        *ret_why = strf("the serial number of the card at %s is %s, and was %s", bdf, now, serial ?: "0x0");
        return -ESTALE;
}

static int has_power(json_object *args, StepRun *run) {
        _cleanup_free_ char *path = NULL, *power = NULL;

        int r = hotplug_power_path(json_get(args, "scope"), run, &path);
        if (r < 0)
                return r;
        r = attr_read(path, &power);
        return r < 0 ? step_fail(run, r, "%s cannot be read: %s", path, strerror(-r)) : !streq(power, "0");
}

/* The power LED says by itself that there is power, and the attention LED, which said so until then, is off again. */
static int light_is_back(json_object *scope, char **ret_why) {
        const char *port = json_str(scope, "port"), *slot = json_str(scope, "slot");
        SlotRegisters s;

        if (!port)
                return 1;
        int r = slot_registers_read(port, &s);
        if (r < 0) {
                *ret_why = strf("the lights of slot %s cannot be read: %s", slot, strerror(-r));
                return r;
        }
        if (s.has_power_indicator && s.power == INDICATOR_OFF) {
                *ret_why = strf("the power LED of slot %s is off, and its card has power", slot);
                return -ENODEV;
        }
        return !s.has_attention_indicator || s.attention != INDICATOR_ON;
}

static int power_on_verify(json_object *args, StepRun *run) {
        _cleanup_free_ char *why = NULL;

        int r = has_power(args, run);
        if (r <= 0)
                return r < 0 ? r : STEP_NOT_APPLIED;
        r = step_card_functions(run->card, json_str(json_get(args, "scope"), "slot"), function_is_back, &why);
        if (r == -ESTALE)
                return step_fail(run, r, "%s", why);
        return r < 0 || light_is_back(json_get(args, "scope"), &why) <= 0 ? STEP_PARTLY_APPLIED : STEP_APPLIED;
}

/* What the light shows before the power comes back, for the report. */
static int note_light(json_object *scope, StepRun *run) {
        const char *port = json_str(scope, "port");
        SlotRegisters s;

        if (run->notes || !port || slot_registers_read(port, &s) < 0)
                return 0;
        json_object *note = json_object_new_object(), *read = json_object_new_object();
        json_set_str(read, "power", s.has_power_indicator ? indicator_to_string(s.power) : NULL);
        json_set_str(read, "attention", s.has_attention_indicator ? indicator_to_string(s.attention) : NULL);
        json_set(note, "read", read);
        json_set_str(note, "of", "safe");
        return step_note(run, note);
}

/* Read back by led_attention(). A slot that cannot say it stays without power. */
static int light_veil(json_object *slot, StepRun *run) {
        int r = led_attention(json_str(slot, "port"), json_str(slot, "address"), INDICATOR_ON);

        return r < 0 ? step_fail(run, r, "the attention LED of slot %s cannot be turned on, and no other light says that its power comes back: %s",
                                 json_str(slot, "slot"), strerror(-r)) : 0;
}

static int light_veil_all(json_object *args, StepRun *run) {
        json_object *slots = json_array(args, "slots");
        int r = 0;

        for (size_t i = 0; i < json_len(slots) && r >= 0; i++)
                r = light_veil(json_at(slots, i), run);
        return r < 0 ? r : light_veil(json_get(args, "scope"), run);
}

/* Without a power controller the attribute never reads 0, and neither does it when only the functions were taken away: then they decide. The kernel
 * refuses a slot that is on, or about to be, with -ENODEV. */
static int power_write(json_object *args, StepRun *run, const char *path) {
        _cleanup_free_ char *why = NULL;

        int power = has_power(args, run);
        if (power < 0 || (power > 0 && probe_functions.ask(json_get(args, "scope"), &why) <= 0))
                return power < 0 ? power : 0;
        int r = step_write(run, path, "1");
        return power > 0 && r == -ENODEV ? 0 : r;
}

/* As it should be, or -ENODEV: not yet. */
static int take_back_light(json_object *scope, StepRun *run, char **ret_why) {
        int r = light_is_back(scope, ret_why);

        if (r != 0)
                return r < 0 ? r : 0;
        r = led_attention(json_str(scope, "port"), json_str(scope, "address"), INDICATOR_OFF);
        if (r < 0)
                *ret_why = strf("the attention LED of slot %s cannot be turned off: %s", json_str(scope, "slot"), led_strerror(r));
        return r == -ENODEV ? -EIO : r;
}

static int power_on_apply(json_object *args, StepRun *run) {
        json_object *scope = json_get(args, "scope");
        _cleanup_free_ char *path = NULL, *why = NULL, *slot = slot_word(json_str(scope, "slot"));

        int r = hotplug_power_path(scope, run, &path);
        if (r >= 0)
                r = note_light(scope, run);
        if (r < 0)
                return r;
        _cleanup_free_ char *quoted = shell_quoted(path);
        step_remedy(run, "echo 1 > %s && safe-remove restore %s", quoted ?: path, slot ?: "");
        r = light_veil_all(args, run);
        if (r >= 0)
                r = power_write(args, run, path);
        if (r < 0)
                return r;
        uint64_t deadline = now_monotonic() + run->limits->write_timeout_usec;
        for (;;) {
                free(TAKE_PTR(why));
                r = step_card_functions(run->card, json_str(scope, "slot"), function_is_back, &why);
                if (r >= 0)
                        r = take_back_light(scope, run, &why);
                if (r != -ENODEV || now_monotonic() >= deadline)
                        break;
                step_pause(run, LOOK_MSEC);
        }
        return r < 0 ? step_fail(run, r == -ENODEV ? -ETIME : r, "%s", why ?: strerror(-r)) : 0;
}

const StepOps step_power_on_ops = {
        .irreversible = true,
        .typical_usec = 1500000,
        .args = "scope:o",
        .describe = power_on_describe,
        .apply = power_on_apply,
        .verify = power_on_verify,
};
