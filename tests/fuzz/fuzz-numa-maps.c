/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "holders/memory/memory-holder.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_free_ char *text = fuzz_text(data, size);

        for (int node = 0; node < 2; node++) {
                uint64_t sum = 4711;
                int r = numa_maps_sum(text, node, &sum);
                FUZZ_CHECK(r == 0 || (r == -EBADMSG && sum == 4711));
                FUZZ_CHECK(r < 0 || sum % 1024 == 0);
        }
        return 0;
}
