/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Pages of a card are looked for in tests/vm/scenarios/80-pins.py. Where the kernel's memory may be read (root on a kernel with types),
 * a pipe's pages are found among all of this machine's. */
#include <errno.h>
#include <fcntl.h>
#include <sys/uio.h>

#include "kernel/pages/file-pages.h"
#include "tests/unit/test.h"

static void test_kinds(void) {
        for (int kind = 0; kind < _FILE_PAGES_KIND_MAX; kind++)
                CHECK_INT(file_pages_kind_from_string(file_pages_kind_to_string((FilePagesKind) kind)), kind);
}

static void test_pipe(FilePages *f) {
        const CardMemory everything = { 0, UINT64_MAX }, nothing = { 0, 0 };
        static char pages[3 * 4096] __attribute__((aligned(4096)));
        struct iovec given = { .iov_base = pages, .iov_len = sizeof(pages) };
        FilePagesAnswer answer;
        int ends[2];

        memset(pages, 1, sizeof(pages));
        CHECK_INT(pipe2(ends, O_CLOEXEC), 0);
        CHECK_INT(file_pages_in(f, getpid(), ends[0], FILE_PAGES_PIPE, &everything, 1, &answer), 0);
        CHECK_INT(answer.bytes, 0);
        CHECK_INT(vmsplice(ends[1], &given, 1, 0), sizeof(pages));
        CHECK_INT(file_pages_in(f, getpid(), ends[0], FILE_PAGES_PIPE, &everything, 1, &answer), 0);
        CHECK_INT(answer.bytes, sizeof(pages));
        CHECK_INT(file_pages_in(f, getpid(), ends[1], FILE_PAGES_PIPE, &nothing, 1, &answer), 0);
        CHECK_INT(answer.bytes, 0);
        CHECK_INT(read(ends[0], pages, 4096 + 1), 4096 + 1);
        CHECK_INT(file_pages_in(f, getpid(), ends[0], FILE_PAGES_PIPE, &everything, 1, &answer), 0);
        CHECK_INT(answer.bytes, sizeof(pages) - 4096 - 1);

        CHECK_INT(file_pages_in(f, getpid(), ends[0], FILE_PAGES_RING, &everything, 1, &answer), -ENOENT);
        CHECK_INT(file_pages_in(f, getpid(), 1 << 20, FILE_PAGES_PIPE, &everything, 1, &answer), -ENOENT);
        (void) close(ends[0]);
        (void) close(ends[1]);
        CHECK_INT(file_pages_in(f, getpid(), ends[0], FILE_PAGES_PIPE, &everything, 1, &answer), -ENOENT);
}

int main(void) {
        _cleanup_(file_pages_freep) FilePages *f = NULL;
        _cleanup_free_ char *why = NULL;

        test_kinds();
        int r = file_pages_open(&f, &why);
        if (r < 0) {
                CHECK(why);
                return 0;
        }
        test_pipe(f);
        return 0;
}
