/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuzz.h"
#include "kernel/dm-table.h"

static char *leave(const char *number, void *userdata) {
        FUZZ_CHECK(strchr(number, ':'));
        return NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_free_ char *text = fuzz_text(data, size), *same = dm_table_translate(text, leave, NULL);
        _cleanup_free_ char *concise = dm_table_concise(text, text, false, text);

        FUZZ_CHECK(same && streq(same, text));
        FUZZ_CHECK(concise && strlen(concise) >= 3 * strlen(text));
        (void) dm_table_hides_key(text);
        return 0;
}
