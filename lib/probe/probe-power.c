/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel/attr.h"
#include "probe/probe.h"

/* A slot without a power controller never reads 0 (drivers/pci/hotplug/pciehp_hpc.c:pciehp_get_power_status reads a bit
 * that nothing drives): there the vanished devices decide, which is another probe's question. */
static int ask(json_object *scope, char **ret_answer) {
        uint64_t power;

        if (!json_flag(scope, "power_controller"))
                return 1;
        int r = attr_read_u64f(&power, "/sys/bus/pci/slots/%s/power", json_str(scope, "slot"));
        if (r < 0)
                return r;
        if (power == 0)
                return 1;
        *ret_answer = strf("slot %s reads power %ju", json_str(scope, "slot"), (uintmax_t) power);
        return 0;
}

const Probe probe_power = {
        .name = "power",
        .question = "is the slot's power off",
        .ask = ask,
};
