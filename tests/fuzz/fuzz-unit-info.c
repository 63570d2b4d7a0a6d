/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "holders/unit-info.h"
#include "fuzz.h"

/* Whatever systemctl prints: it is refused, or every unit has a name and a state. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_(unit_infos_done) UnitInfos u = { 0 };
        _cleanup_free_ char *text = strndup((const char *) data, size);
        uint64_t usec;

        if (!text)
                return 0;
        (void) timespan_parse(text, &usec);
        int r = unit_infos_parse(text, &u);
        FUZZ_CHECK(r == 0 || r == -EBADMSG);
        for (size_t i = 0; i < u.n_items; i++)
                FUZZ_CHECK(u.items[i].id && u.items[i].active && u.items[i].kill_signal >= 0);
        return 0;
}
