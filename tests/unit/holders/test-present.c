/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A private mapping of /dev/zero keeps its file, so it stands in for one of a dax device. */
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "holders/pages-present.h"
#include "tests/unit/test.h"

enum {
        PAGES = 1500,   /* more than one read of pagemap */
        TOUCHED = 7,
};

int main(void) {
        size_t page = (size_t) sysconf(_SC_PAGESIZE);
        Holder self = { .pid = getpid() };
        uint64_t present = 4711;
        struct stat st;

        _cleanup_close_ int fd = open("/dev/zero", O_RDWR | O_CLOEXEC);
        CHECK(fd >= 0 && fstat(fd, &st) >= 0);
        char *p = mmap(NULL, PAGES * page, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
        CHECK(p != MAP_FAILED);
        for (size_t i = 0; i < TOUCHED; i++)
                p[(PAGES - 1 - i * 200) * page] = 1;

        /* Only the privileged may look at what a mapping leads to. */
        _cleanup_free_ char *link = strf("/proc/self/map_files/%jx-%jx", (uintmax_t) p, (uintmax_t) (p + PAGES * page));
        if (stat(link, &st) < 0)
                return 77;

        CHECK_INT(holder_pages_present(&self, TARGET_CHAR, st.st_rdev, &present), 0);
        CHECK_INT(present, TOUCHED);
        CHECK_INT(madvise(p, PAGES * page, MADV_DONTNEED), 0);
        CHECK_INT(holder_pages_present(&self, TARGET_CHAR, st.st_rdev, &present), 0);
        CHECK_INT(present, 0);
        CHECK_INT(holder_pages_present(&self, TARGET_CHAR, st.st_rdev + 1, &present), 0);
        CHECK_INT(present, 0);

        /* The node lies on a file system, and counts as a file of it. */
        p[0] = 1;
        CHECK_INT(holder_pages_present(&self, TARGET_FS, st.st_dev, &present), 0);
        CHECK_INT(present, 1);
        return EXIT_SUCCESS;
}
