/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* file-pages PID FD ring|pipe|xdp START SIZE: which pages of a range of physical memory an open file keeps. Exit status 0 none, 1 some,
 * 3 something else. */
#include "base/clock.h"
#include "base/parse.h"
#include "kernel/file-pages.h"

int main(int argc, char **argv) {
        _cleanup_(file_pages_freep) FilePages *f = NULL;
        _cleanup_free_ char *why = NULL;
        uint64_t pid, fd, bytes, first, before = now_monotonic();
        PageRange range;
        int kind = argc == 6 ? file_pages_kind_from_string(argv[3]) : -EINVAL;

        if (kind < 0 || parse_u64(argv[1], &pid) < 0 || parse_u64(argv[2], &fd) < 0 || parse_u64(argv[4], &range.start) < 0 ||
            parse_u64(argv[5], &range.size) < 0) {
                fprintf(stderr, "usage: file-pages PID FD ring|pipe|xdp START SIZE\n");
                return 3;
        }
        int r = file_pages_open(&f, &why);
        if (r >= 0)
                r = file_pages_in(f, (int) pid, (int) fd, (FilePagesKind) kind, &range, 1, &bytes, &first);
        if (r < 0) {
                fprintf(stderr, "file-pages: %s\n", why ?: strerror(-r));
                return 3;
        }
        printf("%ju bytes, the first at 0x%jx, %ju us\n", (uintmax_t) bytes, (uintmax_t) first, (uintmax_t) (now_monotonic() - before));
        return bytes > 0;
}
