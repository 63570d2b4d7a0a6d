/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "kernel/pci/pcie-slot.h"
#include "kernel/sysfs/attr.h"
#include "probe/probe.h"

/* pciehp without a power controller never reads 0 (drivers/pci/hotplug/pciehp_hpc.c:pciehp_get_power_status reads a bit
 * that nothing drives): there the vanished devices decide, which is another probe's question. Other slots' drivers are asked. */
static int ask(json_object *scope, char **ret_answer) {
        const char *address = json_str(scope, "address");
        _cleanup_free_ char *name = NULL;
        uint64_t power;

        if (!json_flag(scope, "power_controller"))
                return 1;
        /* By its address: the name may be another slot's by now. */
        int r = address ? slot_folder_at(address, &name) : -ENODEV;
        if (r >= 0)
                r = attr_read_u64f(&power, "/sys/bus/pci/slots/%s/power", name);
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
