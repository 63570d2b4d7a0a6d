/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "step/hooks/hooks-run.h"
#include "fuzz.h"

/* Whatever a hook prints, and however it ends: its reason is one bounded line of text, and nothing but 0 and 2 lets a removal go on. The first two bytes
 * are how it ended. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        int code = size > 0 ? data[0] & 7 : 0, status = size > 1 ? data[1] : 0;
        _cleanup_free_ char *text = fuzz_text(data + (size < 2 ? size : 2), size < 2 ? 0 : size - 2);
        _cleanup_free_ char *reason = hook_reason(text, size < 2 ? 0 : size - 2);
        _cleanup_json_ json_object *a = hook_answer_json("fuzz", "nobody", code, status, text, size < 2 ? 0 : size - 2);
        int answer = hook_answer_from_string(json_str(a, "answer"));

        FUZZ_CHECK(!reason || (strlen(reason) <= HOOK_REASON_MAX && utf8_is_valid(reason, strlen(reason)) && !strpbrk(reason, "\n\r\t\033")));
        FUZZ_CHECK(answer >= 0);
        FUZZ_CHECK((answer != HOOK_OK && answer != HOOK_NOT_CONCERNED) || status == 0 || status == 2);
        return 0;
}
