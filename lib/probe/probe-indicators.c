/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel/pci/pcie-slot.h"
#include "probe/probe.h"

/* The kernel must have finished with the power before anybody says so. (The attention indicator is the last thing to change and
 * belongs to step-show-safe.c.) */
static int ask(json_object *scope, char **ret_answer) {
        SlotRegisters s;
        const char *port = json_str(scope, "port");

        if (!port)
                return 1;
        int r = slot_registers_read(port, &s);
        if (r < 0)
                return r;
        if (s.has_power_indicator && s.power != INDICATOR_OFF) {
                *ret_answer = strf("the power LED is %s", indicator_to_string(s.power));
                return 0;
        }
        return 1;
}

const Probe probe_indicators = {
        .name = "indicators",
        .question = "does the slot's power LED read off",
        .ask = ask,
};
