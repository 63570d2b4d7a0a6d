/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel/iomem.h"
#include "probe/probe.h"

static int ask(json_object *scope, char **ret_answer) {
        json_object *ranges = json_array(scope, "ranges");
        _cleanup_(iomem_freep) Iomem *map = NULL;

        int r = iomem_load(&map);
        if (r < 0)
                return r;
        for (size_t i = 0; i < json_len(ranges); i++) {
                json_object *range = json_at(ranges, i);
                const IomemRange *left = iomem_find_leftover(map, json_u64(range, "start"), json_u64(range, "size"));
                if (!left)
                        continue;
                *ret_answer = strf("0x%jx-0x%jx is still \"%s\"", (uintmax_t) left->start, (uintmax_t) left->end, left->name);
                return 0;
        }
        return 1;
}

const Probe probe_iomem = {
        .name = "iomem",
        .question = "has nobody a claim on the card's addresses in /proc/iomem",
        .before_power_off = true,
        .ask = ask,
};
