/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "kernel/sysfs/quirks.h"
#include "fuzz.h"

/* What a kernel calls itself: it is known to stand it, or there is a reason. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        static const ForcedUnmap ways[] = { FORCED_DEVICE_DAX, FORCED_XFS, FORCED_FSDAX };
        _cleanup_free_ char *text = fuzz_text(data, size);

        for (size_t i = 0; i < ELEMENTSOF(ways); i++) {
                _cleanup_free_ char *why = NULL;

                int r = forced_unmap_check(ways[i], text, &why);
                FUZZ_CHECK(r == 0 ? !why : r == -EOPNOTSUPP && why);
        }
        return 0;
}
