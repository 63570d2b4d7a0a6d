/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "holders/memory/memory-groups.h"
#include "fuzz.h"

/* The text as memory.stat; its two first lines as memory.swap.max and memory.swap.current. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_free_ char *text = fuzz_text(data, size);
        uint64_t anonymous = 4711, left = 4711;

        int r = memory_stat_anonymous(text, &anonymous);
        FUZZ_CHECK(r == 0 || (r == -EBADMSG && anonymous == 4711));

        char *current = strchr(text, '\n');
        if (current)
                *current++ = '\0';
        r = swap_left_parse(text, current, &left);
        FUZZ_CHECK(r == 0 || (r == -EBADMSG && left == 4711));
        return 0;
}
