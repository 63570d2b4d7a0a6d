/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "kernel/pci/held-slot.h"
#include "kernel/sysfs/driver.h"
#include "led/led.h"
#include "led/locate.h"
#include "step/evict/hotplug-service.h"

static const char bus[] = "pci_express";
static const char driver[] = "pciehp";

int hotplug_service_driven(json_object *args, StepRun *run) {
        const char *service = json_str(args, "service");

        int r = hotplug_is_driven(service);
        return r < 0 ? step_fail(run, r, "hot-plug service %s cannot be read: %s", service, strerror(-r)) : r;
}

/* Not while it shows somebody the way, which is over with the hold. */
static Indicator attention_before(const char *port, Indicator attention) {
        Located l;

        return attention == INDICATOR_BLINK && locate_load(port, &l) >= 0 ? l.before : attention;
}

/* The power LED not as it was but as it should be: blinking is the pending removal itself, which ends when the hold is undone. */
json_object *hotplug_service_args(const char *port, const char *service, const SlotRegisters *hold) {
        json_object *args = json_object_new_object();

        json_set_str(args, "port", port);
        json_set_str(args, "service", service);
        if (hold) {
                json_set_str(args, "power_led", !hold->has_power_indicator ? "reserved" : hold->power_on ? "on" : "off");
                json_set_str(args, "attention_led", indicator_to_string(attention_before(port, hold->attention)));
        }
        return args;
}

int hotplug_service_take(json_object *args, StepRun *run) {
        /* What somebody else has unbound is not ours. Where there is no room for the mark the record of the removal tells of the hold; a
         * press has none yet, but not to hold would be worse. */
        int driven = hotplug_service_driven(args, run);
        if (driven > 0)
                (void) held_mark(args);
        int r = driven < 0 ? driven : step_unbind(run, bus, json_str(args, "service"), driver);
        if (r < 0) {
                /* One that hangs may come to it yet. */
                if (driven > 0 && r != -EINPROGRESS && r != -ETIME)
                        held_forget(json_str(args, "port"));
                return r;
        }

        /* An indicator that cannot be set (lockdown closes the configuration space) must not keep a card from being
         * removed: it then says less than the truth, never more. Nobody who looks for the slot is to be led to a card that is on its way; and
         * whoever has it blink can end that no more, for his attribute went with the driver. What cannot be written now stays on record. */
        r = locate_end(json_str(args, "port"));
        if (r != -EINPROGRESS)
                r = led_show_held(json_str(args, "port"), INDICATOR_BLINK, INDICATOR_RESERVED);
        return r == -EINPROGRESS ? step_fail(run, r, "a write to the registers of port %s has not come back", json_str(args, "port")) : 0;
}

int hotplug_service_give(json_object *args, StepRun *run) {
        int r = step_bind(run, bus, json_str(args, "service"), driver);
        if (r >= 0)
                held_forget(json_str(args, "port"));
        return r;
}

static char *describe(json_object *args, char *path) {
        _cleanup_free_ char *owned = path;

        return strf("write %s to %s", json_str(args, "service"), owned);
}

char *hotplug_service_describe_take(json_object *args) {
        return describe(args, driver_unbind_path(bus, driver));
}

char *hotplug_service_describe_give(json_object *args) {
        return describe(args, driver_bind_path(bus, driver));
}

/* The slot is known by where it is: its name may be another slot's by now (kernel/pci/pcie-slot.h). */
int hotplug_power_path(json_object *scope, StepRun *run, char **ret) {
        _cleanup_free_ char *name = NULL;
        const char *address = json_str(scope, "address");

        int r = address ? slot_folder_at(address, &name) : -ENODEV;
        if (r < 0)
                return step_fail(run, r, "no slot is at %s any more, where slot %s was: %s", address ?: "?", json_str(scope, "slot"), strerror(-r));
        char *path = strf("/sys/bus/pci/slots/%s/power", name);
        if (!path)
                return -ENOMEM;
        *ret = path;
        return 0;
}
