/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Asks whose a page of a file is that we made ourselves. Where the kernel's memory may not be read that cannot be tested. */
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "kernel/pages/page-cache.h"
#include "tests/unit/test.h"

enum {
        SKIPPED = 77, /* meson's word for it */
};

/* The frame of a page that we have mapped (Documentation/admin-guide/mm/pagemap.rst); 0: it is not told. */
static uint64_t frame_of(const void *page) {
        const uint64_t size = (uint64_t) sysconf(_SC_PAGESIZE);
        uint64_t word = 0;

        _cleanup_close_ int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
        if (fd < 0 || pread(fd, &word, sizeof(word), (off_t) ((uintptr_t) page / size * sizeof(word))) != sizeof(word))
                return 0;
        return word & ((UINT64_C(1) << 55) - 1);
}

int main(void) {
        _cleanup_(page_cache_freep) PageCache *cache = NULL;
        _cleanup_free_ char *why = NULL;
        char path[] = "/dev/shm/test-page-cache-XXXXXX";
        const size_t size = (size_t) sysconf(_SC_PAGESIZE);
        CachedFiles files = { 0 };
        struct stat s;

        _cleanup_close_ int fd = mkostemp(path, O_CLOEXEC);
        CHECK(fd >= 0 && ftruncate(fd, (off_t) size) == 0 && fstat(fd, &s) == 0);
        char *page = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        CHECK(page != MAP_FAILED);
        *page = 1;
        uint64_t frame = frame_of(page);

        int r = frame > 0 ? page_cache_open(&cache, &why) : -EPERM;
        if (r >= 0)
                r = page_cache_count(cache, frame * size, size);
        if (r >= 0)
                r = page_cache_largest(cache, 3, &files);
        CHECK_INT(unlink(path), 0);
        if (r < 0) {
                printf("%s: %s\n", why ?: "the page frame is not known", strerror(-r));
                return SKIPPED;
        }
        CHECK_INT(files.n, 1);
        CHECK(files.items[0].dev == s.st_dev);
        CHECK_INT(files.items[0].inode, s.st_ino);
        CHECK_INT(files.items[0].bytes, size);
        CHECK_STR(files.items[0].path, path + strlen("/dev/shm"));
        cached_files_done(&files);
        return 0;
}
