/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel/driver.h"
#include "led/led.h"
#include "step/hotplug-service.h"

static const char bus[] = "pci_express";
static const char driver[] = "pciehp";

int hotplug_service_driven(json_object *args, StepRun *run) {
        _cleanup_free_ char *bound = NULL;
        const char *service = json_str(args, "service");

        int r = driver_of(bus, service, &bound);
        if (r < 0)
                return step_fail(run, r, "hot-plug service %s cannot be read: %s", service, strerror(-r));
        return bound != NULL;
}

int hotplug_service_take(json_object *args, StepRun *run) {
        int r = step_unbind(run, bus, json_str(args, "service"), driver);
        if (r < 0)
                return r;

        /* An indicator that cannot be set (lockdown closes the configuration space) must not keep a card from being
         * removed: it then says less than the truth, never more. */
        (void) led_show_held(json_str(args, "port"), INDICATOR_BLINK, INDICATOR_RESERVED);
        return 0;
}

int hotplug_service_give(json_object *args, StepRun *run) {
        return step_bind(run, bus, json_str(args, "service"), driver);
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
