/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel/memory/iomem.h"
#include "probe/probe.h"

/* What a function decodes itself it claims for as long as it is there; memory that the kernel uses is none of that. */
static const IomemRange *find_claim(const Iomem *map, json_object *range, bool functions_are_there) {
        uint64_t start = json_u64(range, "start"), size = json_u64(range, "size");

        if (json_flag(range, "goes_with_power") && functions_are_there)
                return iomem_find_system_ram(map, start, size, NULL);
        return iomem_find_leftover(map, start, size);
}

static int ask(json_object *scope, char **ret_answer) {
        if (scope_is_blind(scope, ret_answer))
                return 0;

        json_object *ranges = json_array(scope, "ranges");
        _cleanup_(iomem_freep) Iomem *map = NULL;
        _cleanup_free_ char *why = NULL;
        bool functions_are_there = json_len(json_array(scope, "functions")) > 0 && probe_functions.ask(scope, &why) == 0;

        int r = iomem_load(&map);
        if (r < 0)
                return r;
        for (size_t i = 0; i < json_len(ranges); i++) {
                json_object *range = json_at(ranges, i);
                const IomemRange *left = find_claim(map, range, functions_are_there);
                if (!left)
                        continue;
                *ret_answer = strf("0x%jx-0x%jx is still \"%s\"", (uintmax_t) left->start, (uintmax_t) left->end, left->name);
                return 0;
        }
        return 1;
}

const Probe probe_iomem = {
        .name = "iomem",
        .question = "does no driver have the card's addresses reserved in /proc/iomem",
        .before_power_off = true,
        .ask = ask,
};
