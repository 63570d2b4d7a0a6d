/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "kernel/cxl/nmem-overwrite.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_free_ char *text = fuzz_text(data, size);

        int r = overwrite_told_by(text);
        FUZZ_CHECK(r == 0 || r == 1 || r == -EOPNOTSUPP);
        FUZZ_CHECK(r < 0 || strstr(text, "__nvdimm_security_overwrite_query"));
        return 0;
}
