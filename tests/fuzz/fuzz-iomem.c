/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "kernel/memory/iomem.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_free_ char *text = fuzz_text(data, size);
        _cleanup_(iomem_freep) Iomem *m = NULL;

        int r = iomem_parse(text, &m);
        if (r < 0) {
                FUZZ_CHECK(r == -EBADMSG || r == -EPERM);
                FUZZ_CHECK(!m);
                return 0;
        }

        FUZZ_CHECK(m->n_ranges > 0);
        for (size_t i = 0; i < m->n_ranges; i++) {
                const IomemRange *range = &m->ranges[i];
                FUZZ_CHECK(range->start <= range->end);
                /* Whatever is left over is found at its own first byte, by itself or by one before it. */
                const IomemRange *left = iomem_find_leftover(m, range->start, 1);
                FUZZ_CHECK(!left || (left->start <= range->start && left->end >= range->start));
                (void) iomem_find_leftover(m, range->start, UINT64_MAX);
        }
        return 0;
}
