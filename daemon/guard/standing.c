/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>

#include "base/fileio.h"
#include "holders/process.h"
#include "standing.h"

enum {
        LOOKS_MAX = 10,        /* by looks, and not by a clock: whoever looks may have been stopped too */
};

bool standing_look(Standing *s, pid_t pid, int *ret_tracer) {
        _cleanup_free_ char *path = strf("/proc/%d", pid);
        _cleanup_close_ int dirfd = path ? open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -EBADF;
        uint64_t turns = 0;

        bool stands = dirfd >= 0 && process_stands(dirfd, &turns) > 0;
        s->looks = !stands ? 0 : turns == s->turns && s->looks > 0 ? s->looks + 1 : 1;
        s->turns = turns;
        if (s->looks != LOOKS_MAX)
                return false;
        int tracer = process_kept_by(dirfd);
        *ret_tracer = tracer > 0 ? tracer : 0;
        return true;
}
