/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "plan/find/inhibitor.h"
#include "fuzz.h"

/* What somebody says is to be inhibited, and what was kept of an inhibitor. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_free_ char *text = fuzz_text(data, size), *why = NULL;
        _cleanup_json_ json_object *words = NULL, *kept = NULL;

        int r = inhibit_what_parse(text, &words, &why);
        FUZZ_CHECK(r == 0 ? words && json_len(words) > 0 && !why : r == -EINVAL && why && !words);
        r = inhibitor_parse((const char *) data, size, &kept);
        FUZZ_CHECK(r == 0 ? json_str(kept, "who") && json_len(json_array(kept, "what")) > 0 : (r == -EBADMSG || r == -EPROTONOSUPPORT) && !kept);
        return 0;
}
