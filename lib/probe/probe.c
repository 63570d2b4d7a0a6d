/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "probe/probe.h"

const Probe *const probes[] = {
        &probe_mounts,
        &probe_block_devices,
        &probe_memory_blocks,
        &probe_iomem,
        &probe_regions,
        &probe_functions,
        &probe_memdevs,
        &probe_power,
        &probe_indicators,
        NULL,
};

int probes_ask(json_object *scope, bool before_power_off, char **ret_why) {
        for (const Probe *const *p = probes; *p; p++) {
                _cleanup_free_ char *answer = NULL;

                if (before_power_off && !(*p)->before_power_off)
                        continue;
                int r = (*p)->ask(scope, &answer);
                if (r > 0)
                        continue;
                *ret_why = strf("%s (%s): %s", (*p)->name, (*p)->question, answer ?: strerror(-r));
                return 0;
        }
        return 1;
}
