/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel/mounts/mount-options.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_free_ char *text = fuzz_text(data, size);
        _cleanup_(overlay_folders_done) OverlayFolders f = { 0 };
        size_t length = 0;

        FUZZ_CHECK(overlay_folders_parse(text, &f) == 0);
        for (size_t i = 0; i < f.n_paths; i++) {
                FUZZ_CHECK(*f.paths[i]);
                length += strlen(f.paths[i]);
        }
        /* No folder comes from nowhere. */
        FUZZ_CHECK(length <= size);
        return 0;
}
