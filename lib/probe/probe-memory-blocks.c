/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel/memory/memory-block.h"
#include "probe/probe.h"

static int ask(json_object *scope, char **ret_answer) {
        if (scope_is_blind(scope, ret_answer))
                return 0;

        json_object *ranges = json_array(scope, "ranges");

        for (size_t i = 0; i < json_len(ranges); i++) {
                json_object *range = json_at(ranges, i);
                _cleanup_free_ MemoryBlock *blocks = NULL;
                size_t n = 0;

                int r = memory_blocks_in_range(json_u64(range, "start"), json_u64(range, "size"), &blocks, &n);
                if (r < 0)
                        return r;
                if (n > 0) {
                        *ret_answer = strf("memory%ju is %s", (uintmax_t) blocks[0].id, blocks[0].online ? "online" : "still there");
                        return 0;
                }
        }
        return 1;
}

const Probe probe_memory_blocks = {
        .name = "memory-blocks",
        .question = "is no memory block of the card left",
        .before_power_off = true,
        .ask = ask,
};
