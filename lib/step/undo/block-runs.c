/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel/memory/memory-block.h"
#include "step/undo/block-runs.h"

enum {
        RUNS_TOLD = 8,
};

void block_runs_add(json_object *runs, uint64_t id) {
        json_object *run = json_len(runs) > 0 ? json_at(runs, json_len(runs) - 1) : NULL;

        if (!run || json_object_get_uint64(json_at(run, 1)) + 1 != id) {
                run = json_object_new_array();
                json_object_array_add(run, json_object_new_uint64(id));
                json_object_array_add(runs, run);
        }
        json_object_array_put_idx(run, 1, json_object_new_uint64(id));
}

static char *command_for(uintmax_t first, uintmax_t last, const char *word) {
        if (!word)
                return strdup("");
        if (first == last)
                return strf(" (echo %s > " MEMORY_BLOCKS "/memory%ju/state)", word, first);
        return strf(" (for n in $(seq %ju %ju); do echo %s > " MEMORY_BLOCKS "/memory$n/state; done)", first, last, word);
}

void block_runs_tell(StepRun *run, json_object *runs, const char *word, const char *one, const char *several) {
        for (size_t i = 0; i < json_len(runs); i++) {
                uintmax_t first = json_object_get_uint64(json_at(json_at(runs, i), 0)), last = json_object_get_uint64(json_at(json_at(runs, i), 1));
                _cleanup_free_ char *command = command_for(first, last, word);

                if (i == RUNS_TOLD) {
                        step_lost(run, "more memory blocks, memory%ju and others after it, %s (grep -l offline " MEMORY_BLOCKS "/memory*/state)",
                                  first, several);
                        return;
                }
                if (first == last)
                        step_lost(run, "memory%ju, %s%s", first, one, command ?: "");
                else
                        step_lost(run, "memory%ju to memory%ju, %s%s", first, last, several, command ?: "");
        }
}
