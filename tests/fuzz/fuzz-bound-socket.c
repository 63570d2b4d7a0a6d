/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <sys/sysmacros.h>

#include "holders/scan/bound-sockets.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_free_ char *bytes = fuzz_text(data, size), *path = NULL;
        HoldTarget target = { .kind = TARGET_FS, .dev = makedev(0, 39) };
        HoldTargets targets = { .items = &target, .n_items = 1 };
        BoundSocket s = { .target = 4711 };

        int r = bound_socket_parse(bytes, size, &targets, &s);
        FUZZ_CHECK(r == 1 || ((r == 0 || r == -EBADMSG) && s.target == 4711));
        if (r == 1) {
                path = s.path;
                FUZZ_CHECK(s.target == 0);
                FUZZ_CHECK(!path || strlen(path) < size);
        }
        return 0;
}
