/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "base/json.h"
#include "engine/chain.h"
#include "fuzz.h"

/* A document that was sealed opens, and with any byte of it changed it does not. */
static void check_sealed(json_object *doc) {
        _cleanup_json_ json_object *again = NULL, *other = NULL;
        char sealed[SHA256_HEX], opened[SHA256_HEX];

        if (!json_object_is_type(doc, json_type_object) || json_object_object_length(doc) == 0)
                return;
        _cleanup_free_ char *text = seal_text(doc, sealed);
        FUZZ_CHECK(text);
        size_t n = strlen(text);
        FUZZ_CHECK(seal_open(text, n, &again, opened) == 0);
        FUZZ_CHECK(streq(sealed, opened));
        text[n / 2] ^= 1;
        FUZZ_CHECK(seal_open(text, n, &other, opened) == -EBADMSG);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_json_ json_object *sealed = NULL, *doc = NULL;
        _cleanup_free_ char *text = fuzz_text(data, size);
        _cleanup_(chain_done) Chain chain = { 0 };
        char sha256[SHA256_HEX];

        int r = seal_open(text, size, &sealed, sha256);
        FUZZ_CHECK(r == 0 ? json_object_is_type(sealed, json_type_object) : r == -EBADMSG && !sealed);
        if (json_parse(text, size, &doc) < 0)
                return 0;
        check_sealed(doc);
        r = chain_from_json(doc, &chain);
        FUZZ_CHECK(r == 0 ? chain.exists : (r == -EBADMSG || r == -EPROTONOSUPPORT) && !chain.exists);
        return 0;
}
