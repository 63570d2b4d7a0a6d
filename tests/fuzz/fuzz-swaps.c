/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "kernel/block/swap.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_free_ char *text = fuzz_text(data, size);
        _cleanup_swap_entries_ SwapEntries l = { 0 };

        int r = swaps_parse(text, &l);
        FUZZ_CHECK(r == 0 || r == -EBADMSG);
        for (size_t i = 0; i < l.n_items; i++)
                FUZZ_CHECK(l.items[i].path && strlen(l.items[i].path) <= size && l.items[i].size % 1024 == 0);
        return 0;
}
