/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "topology/select/select-name.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_free_ char *text = fuzz_text(data, size);
        _cleanup_(name_done) Name n = { 0 };

        int r = name_parse(text, &n);
        FUZZ_CHECK(r == 0 || (r == -EINVAL && !n.text));
        if (r == 0)
                FUZZ_CHECK(n.text && *n.text && name_kind_to_string(n.kind));
        return 0;
}
