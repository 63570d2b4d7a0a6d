/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel/cxl/card-parts.h"
#include "kernel/cxl/card-state.h"
#include "fuzz.h"

static void tell(void *userdata, bool worse, const char *text) {
        FUZZ_CHECK(text && *text);
        ++*(size_t *) userdata;
}

/* Whatever the process says that asks the libraries: what is taken of it has all lists, is taken again as it is, and is like itself. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        static const char *const lists[] = { "memdevs", "nmems", "bad_blocks", "scrubs", "notes" };
        _cleanup_free_ char *text = fuzz_text(data, size), *first = NULL;
        _cleanup_json_ json_object *answer = NULL;
        size_t n = 0;

        if (json_parse(text, size, &answer) < 0)
                return 0;
        _cleanup_json_ json_object *state = card_state_checked(answer), *again = card_state_checked(state);
        for (size_t i = 0; i < ELEMENTSOF(lists); i++)
                FUZZ_CHECK(json_array(state, lists[i]));
        first = strdup(json_text(state));
        FUZZ_CHECK(streq_ptr(first, json_text(again)));
        FUZZ_CHECK(card_state_compare(state, again, tell, &n) <= 64 * (size + 1));
        (void) card_state_compare(NULL, state, tell, &n);
        (void) card_state_compare(state, NULL, tell, &n);
        FUZZ_CHECK(card_state_compare(answer, state, tell, &n) <= 64 * (size + 1));
        return 0;
}
