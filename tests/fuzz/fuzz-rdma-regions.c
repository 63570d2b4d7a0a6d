/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "kernel/users/rdma-regions.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_(rdma_regions_done) RdmaRegions regions = { 0 };
        _cleanup_free_ uint32_t *ids = NULL;
        size_t n = 0;

        int r = rdma_regions_parse(data, size, &regions);
        FUZZ_CHECK(r <= 1 && r > -4096);
        FUZZ_CHECK(regions.n_items <= size / 8);
        for (size_t i = 0; i < regions.n_items; i++)
                FUZZ_CHECK(regions.items[i].pid > 0);
        r = rdma_devices_parse(data, size, &ids, &n);
        FUZZ_CHECK(r <= 1 && r > -4096);
        FUZZ_CHECK(n <= size / 8);
        return 0;
}
