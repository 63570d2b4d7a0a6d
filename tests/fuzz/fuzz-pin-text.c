/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "holders/pins/pin-holder.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_free_ char *text = fuzz_text(data, size);
        RingBuffers buffers = { 4711, 4711 };
        uint64_t bytes = 4711;

        int r = ring_buffers_parse(text, &buffers);
        FUZZ_CHECK(r == 0 || (r == -EBADMSG && buffers.n == 4711 && buffers.bytes == 4711));
        r = status_bytes(text, "VmPin", &bytes);
        FUZZ_CHECK(r == 0 ? bytes % 1024 == 0 : (r == -ENOENT || r == -EBADMSG) && bytes == 4711);
        return 0;
}
