/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "kernel/mounts/mount-options.h"
#include "kernel/mounts/mountinfo.h"
#include "fuzz.h"

static void look_at_options(const MountEntry *m) {
        _cleanup_free_ char *unknown = NULL;
        uint64_t attributes = 0;

        FUZZ_CHECK(mount_attributes(m->options, &attributes, &unknown) == 0);
        FUZZ_CHECK(mount_propagation(m->propagation) != 0);
        char *rest = m->super_options;
        for (char *word; (word = strsep(&rest, ","));) {
                const char *key, *value;
                bool skip;

                super_option_split(word, &key, &value, &skip);
                FUZZ_CHECK(key == word && (!value || value > key));
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_free_ char *text = fuzz_text(data, size);
        _cleanup_mount_entries_ MountEntries l = { 0 };

        int r = mountinfo_parse(text, &l);
        FUZZ_CHECK(r == 0 || r == -EBADMSG);
        for (size_t i = 0; i < l.n_items; i++) {
                const MountEntry *m = &l.items[i];
                FUZZ_CHECK(m->root && m->target && m->options && m->propagation && m->type && m->source && m->super_options);
                look_at_options(m);
        }
        return 0;
}
