/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "base/json.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_json_ json_object *o = NULL, *again = NULL, *names = NULL;

        int r = json_parse((const char *) data, size, &o);
        FUZZ_CHECK(r == 0 || (r == -EBADMSG && !o));
        if (r < 0)
                return 0;

        /* Readers take anything. */
        (void) json_str(o, "id");
        (void) json_u64(o, "id");
        (void) json_flag(o, "id");
        for (size_t i = 0; i < json_len(o); i++)
                (void) json_str(json_at(o, i), "id");

        /* What we write we can read. (A bare number is no message: its end is only known from what follows.) */
        const char *text = json_text(o);
        FUZZ_CHECK(text);
        if (!json_object_is_type(o, json_type_object) && !json_object_is_type(o, json_type_array))
                return 0;
        FUZZ_CHECK(json_parse(text, strlen(text), &again) == 0);
        FUZZ_CHECK(json_parse_names(text, strlen(text), &names) == 0);
        FUZZ_CHECK(json_text(names));
        return 0;
}
