/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "holders/memory/unmovable.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        static const uint64_t firsts[] = { 0, 4784128, UINT64_MAX };
        _cleanup_free_ char *text = fuzz_text(data, size);

        for (size_t i = 0; i < ELEMENTSOF(firsts); i++) {
                uint64_t sum = 4711;
                int r = zoneinfo_cpu_pages(text, firsts[i], 32768, &sum);
                FUZZ_CHECK(r == 0 || (r == -EBADMSG && sum == 4711));
        }
        return 0;
}
