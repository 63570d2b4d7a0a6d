/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel/pci/pcie-slot.h"
#include "probe/probe.h"

/* Without a power controller the card stays live until it is pulled, and the link with it. */
static int ask(json_object *scope, char **ret_answer) {
        const char *port = json_str(scope, "port");
        SlotRegisters s;

        if (!port)
                return 1;
        int r = slot_registers_read(port, &s);
        if (r < 0)
                return r;
        if (!json_flag(scope, "power_controller") && !s.has_power_controller)
                return 1;
        if (!s.has_link_active) {
                *ret_answer = strf("port %s does not report it", port);
                return 1;
        }
        if (!s.link_active)
                return 1;
        *ret_answer = strf("the link of port %s is active", port);
        return 0;
}

const Probe probe_link = {
        .name = "link",
        .question = "is the link to the card down",
        .ask = ask,
};
