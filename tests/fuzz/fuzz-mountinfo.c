/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "fuzz.h"
#include "kernel/mountinfo.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_free_ char *text = fuzz_text(data, size);
        _cleanup_mount_entries_ MountEntries l = { 0 };

        int r = mountinfo_parse(text, &l);
        FUZZ_CHECK(r == 0 || r == -EBADMSG);
        for (size_t i = 0; i < l.n_items; i++) {
                const MountEntry *m = &l.items[i];
                FUZZ_CHECK(m->root && m->target && m->options && m->propagation && m->type && m->source && m->super_options);
        }
        return 0;
}
