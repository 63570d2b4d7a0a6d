/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A self-test's last step, after the light has said "safe": the slot gets its power back, and the same card has to be there again, with its driver.
 * pciehp blinks the power indicator meanwhile and turns it on at the end (drivers/pci/hotplug/pciehp_ctrl.c:board_added). What stood on the card is
 * for a restoration to put back: names and addresses may be others by now. */
#include <errno.h>

#include "base/clock.h"
#include "kernel/cxl/card-serial.h"
#include "kernel/pci/pcie-slot.h"
#include "kernel/sysfs/attr.h"
#include "step/evict/hotplug-service.h"

enum {
        LOOK_MSEC = 100, /* drivers are bound by work of the kernel's own, of whose end nothing tells */
};

static void power_on_describe(json_object *args, char **ret_does, char **ret_undo) {
        *ret_does = strf("write 1 to /sys/bus/pci/slots/%s/power, wait until the same card is there again", json_str(json_get(args, "scope"), "slot"));
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

static bool is_in(json_object *function, const char *slot) {
        const char *sits_in = json_str(function, "slot");

        return !slot || !sits_in || streq(sits_in, slot);
}

static int card_is_back(json_object *card, const char *slot, char **ret_why) {
        json_object *endpoints = json_array(card, "endpoints");

        int r = is_in(card, slot) ? function_is_back(card, ret_why) : 0;
        for (size_t i = 0; i < json_len(endpoints) && r >= 0; i++)
                if (is_in(json_at(endpoints, i), slot))
                        r = function_is_back(json_at(endpoints, i), ret_why);
        return r;
}

static int has_power(json_object *args, StepRun *run) {
        _cleanup_free_ char *path = NULL, *power = NULL;

        int r = hotplug_power_path(json_get(args, "scope"), run, &path);
        if (r < 0)
                return r;
        r = attr_read(path, &power);
        return r < 0 ? step_fail(run, r, "%s cannot be read: %s", path, strerror(-r)) : !streq(power, "0");
}

static int power_on_verify(json_object *args, StepRun *run) {
        _cleanup_free_ char *why = NULL;

        int r = has_power(args, run);
        if (r <= 0)
                return r < 0 ? r : STEP_NOT_APPLIED;
        r = card_is_back(run->card, json_str(json_get(args, "scope"), "slot"), &why);
        if (r == -ESTALE)
                return step_fail(run, r, "%s", why);
        return r < 0 ? STEP_PARTLY_APPLIED : STEP_APPLIED;
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
        r = has_power(args, run);
        if (r == 0)
                r = step_write(run, path, "1");
        if (r < 0)
                return r;
        uint64_t deadline = now_monotonic() + run->limits->write_timeout_usec;
        for (;;) {
                free(TAKE_PTR(why));
                r = card_is_back(run->card, json_str(scope, "slot"), &why);
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
