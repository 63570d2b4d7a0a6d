/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "holders/nfs-exports.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_free_ char *text = fuzz_text(data, size);
        _cleanup_nfs_exports_ NfsExports e = { 0 };
        size_t length = 0;

        int r = nfs_exports_parse(text, &e);
        FUZZ_CHECK(r == 0 || r == -EBADMSG);
        for (size_t i = 0; i < e.n_items; i++) {
                FUZZ_CHECK(*e.items[i].client);
                length += strlen(e.items[i].path) + strlen(e.items[i].client);
        }
        FUZZ_CHECK(length <= size);
        return 0;
}
