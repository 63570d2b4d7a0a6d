/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "engine/journal.h"
#include "fuzz.h"

/* Whatever a journal holds: it is refused, as damaged or of a newer version, or it has a start record. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_(journal_freep) Journal *j = calloc(1, sizeof(Journal));
        _cleanup_free_ char *text = strndup((const char *) data, size);

        if (!text || !j)
                return 0;
        j->fd = -EBADF;
        j->last_do = SIZE_MAX;
        int r = journal_replay(j, text, "4d8a1f0c2b7e49d0a1b2c3d4e5f60718");
        FUZZ_CHECK(r == 0 || r == -EBADMSG || r == -EPROTONOSUPPORT);
        FUZZ_CHECK(r < 0 || j->start);
        return 0;
}
