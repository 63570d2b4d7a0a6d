/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "kernel/pages/btf.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        static const char *const names[] = { "page", "loop", "memory_type" }, *const members[] = { "pgmap", "a", "high", "GENERIC" };
        _cleanup_(btf_freep) Btf *b = NULL;

        int r = btf_parse(data, size, &b);
        FUZZ_CHECK(r == 0 || r == -EBADMSG);
        if (r < 0)
                return 0;

        for (size_t i = 0; i < ELEMENTSOF(names); i++)
                for (size_t k = 0; k < ELEMENTSOF(members); k++) {
                        uint64_t v = 4711;
                        r = btf_member_offset(b, names[i], members[k], &v);
                        FUZZ_CHECK(r == 0 || ((r == -ENOENT || r == -EBADMSG) && v == 4711));
                        v = 4711;
                        r = btf_enum_value(b, names[i], members[k], &v);
                        FUZZ_CHECK(r == 0 || (r == -ENOENT && v == 4711));
                }
        return 0;
}
