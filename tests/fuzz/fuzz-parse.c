/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "base/parse.h"
#include "fuzz.h"

static void check_bdf(const char *text) {
        _cleanup_free_ char *bdf = NULL, *again = NULL;
        bool has_domain = false, still = false;

        int r = parse_bdf(text, &bdf, &has_domain);
        FUZZ_CHECK(r == 0 || (r == -EINVAL && !bdf));
        if (r < 0)
                return;

        /* What came out goes in, and comes out the same. */
        FUZZ_CHECK(strlen(bdf) == strlen(text));
        FUZZ_CHECK(parse_bdf(bdf, &again, &still) == 0);
        FUZZ_CHECK(streq(bdf, again) && has_domain == still);
}

static void check_u64(const char *text) {
        uint64_t v = 4711, again = 0;
        bool b;

        int r = parse_u64(text, &v);
        FUZZ_CHECK(r == 0 || ((r == -EINVAL || r == -ERANGE) && v == 4711));
        if (r == 0) {
                _cleanup_free_ char *decimal = strf("%ju", (uintmax_t) v);
                FUZZ_CHECK(decimal && parse_u64(decimal, &again) == 0 && again == v);
        }
        (void) parse_hex(text, &v);
        (void) parse_bool(text, &b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_free_ char *text = fuzz_text(data, size);

        check_bdf(text);
        check_u64(text);
        return 0;
}
