/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "base/span.h"
#include "kernel/pci/pci-resource.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_free_ char *text = fuzz_text(data, size);
        _cleanup_free_ PciResource *resources = NULL;
        size_t n = 0;

        int r = pci_resource_parse(text, &resources, &n);
        if (r < 0) {
                FUZZ_CHECK(r == -EBADMSG && !resources && n == 0);
                return 0;
        }
        for (size_t i = 0; i < n; i++) {
                /* None wraps round, none is empty, and each has its own line. */
                FUZZ_CHECK(resources[i].start > 0 && resources[i].size > 0);
                FUZZ_CHECK(resources[i].size - 1 <= UINT64_MAX - resources[i].start);
                FUZZ_CHECK(span_overlaps(resources[i].start, resources[i].size, resources[i].start, 1));
                FUZZ_CHECK(i == 0 || resources[i].index > resources[i - 1].index);
        }
        return 0;
}
