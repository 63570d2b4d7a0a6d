/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "output.h"
#include "probe-text.h"

void probes_print(json_object *probes, const char *indent) {
        static const char *const headers[] = { "PROBE", "RESULT", "WHAT WAS SEEN" };
        _cleanup_table_ Table *t = table_new(headers, ELEMENTSOF(headers));

        if (!t)
                return;
        for (size_t i = 0; i < json_len(probes); i++) {
                json_object *p = json_at(probes, i);
                const char *answer = json_str(p, "answer"), *later = json_str(p, "later"), *question = json_str(p, "question") ?: "?";
                bool yes = json_flag(p, "holds");

                table_cell(t, COLOR_NONE, json_str(p, "name"));
                /* What could not be found out is as bad as a no, and another thing. */
                table_cell(t, yes ? COLOR_GOOD : COLOR_BAD, yes ? "ok" : json_get(p, "holds") ? "FAIL" : "NOT KNOWN");
                /* Of a yes the question says all; of a no the answer says what is wrong. */
                if (yes || !answer)
                        table_cellf(t, COLOR_NONE, "%s?%s%s%s%s", question, answer ? " " : "", answer ?: "", later ? "; later: " : "", later ?: "");
                else
                        table_cellf(t, COLOR_NONE, "%s%s%s (asked: %s?)", answer, later ? "; later: " : "", later ?: "", question);
        }
        table_print(t, indent);
}
