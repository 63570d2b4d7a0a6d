/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "kernel/memory/node-memory.h"
#include "fuzz.h"

/* The text as a node's meminfo, and as a list of nodes. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        static const int nodes[] = { 0, 1, 7, -1 };
        _cleanup_free_ char *text = fuzz_text(data, size);
        NodeMemory m = { .total = 4711 };

        int r = node_memory_parse(text, &m);
        FUZZ_CHECK(r == 0 || (r == -EBADMSG && m.total == 4711));
        FUZZ_CHECK(r < 0 || (m.total % 1024 == 0 && m.free % 1024 == 0 && m.files % 1024 == 0));

        int within = node_list_within(text, nodes, ELEMENTSOF(nodes));
        FUZZ_CHECK(within == 0 || within == 1 || within == -EBADMSG);
        int has = node_list_has(text, 4);
        FUZZ_CHECK(has < 0 ? has == within : within < 0 || !(has && within));
        FUZZ_CHECK(node_list_within(text, nodes, 0) == (within == 1 ? 0 : within));
        return 0;
}
