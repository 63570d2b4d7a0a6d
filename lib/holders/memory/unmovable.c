/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <linux/kernel-page-flags.h>

#include "base/fileio.h"
#include "holders/memory/unmovable.h"
#include "holders/memory/zoneinfo.h"

/* Not in the exported header (include/linux/kernel-page-flags.h), though shown to everybody who may read the file. */
#define KPF_RESERVED 32

#define FLAG(name) (UINT64_C(1) << KPF_##name)

enum {
        PAGES_PER_READ = 4096,
};

/* What a migration can move, or does not need to: free pages, holes, and everything that belongs to a process or a file.
 * A page that waits in a per-CPU batch for its LRU list has no LRU flag yet, so the flags of its content count too. */
static const uint64_t movable = FLAG(BUDDY) | FLAG(NOPAGE) | FLAG(LRU) | FLAG(ANON) | FLAG(MMAP) | FLAG(SWAPCACHE) |
                                FLAG(SWAPBACKED) | FLAG(UPTODATE) | FLAG(HUGE) | FLAG(THP) | FLAG(KSM) | FLAG(UNEVICTABLE) |
                                FLAG(HWPOISON);

static void count_page(uint64_t flags, UnmovablePages *p) {
        if (flags & FLAG(NOPAGE))
                return;
        if (flags & FLAG(SLAB))
                p->slab++;
        else if (flags & FLAG(PGTABLE))
                p->page_tables++;
        else if (flags & FLAG(RESERVED))
                p->reserved++;
        else if (!(flags & movable))
                p->other++;
}

/* The file is an array of 64-bit words by page frame number, without end-of-file in the middle (fs/proc/page.c). */
static int count_frames(int fd, uint64_t frame, uint64_t n, UnmovablePages *ret) {
        _cleanup_free_ uint64_t *flags = calloc(PAGES_PER_READ, sizeof(*flags));
        if (!flags)
                return -ENOMEM;

        while (n > 0) {
                size_t want = n < PAGES_PER_READ ? (size_t) n : PAGES_PER_READ;
                ssize_t got = pread(fd, flags, want * sizeof(*flags), (off_t) (frame * sizeof(*flags)));
                if (got < 0 && errno == EINTR)
                        continue;
                if (got < (ssize_t) sizeof(*flags))
                        return -ENODATA;

                size_t pages = (size_t) got / sizeof(*flags);
                for (size_t i = 0; i < pages; i++)
                        count_page(flags[i], ret);
                frame += pages;
                n -= pages;
        }
        return 0;
}

static int read_cpu_pages(uint64_t frame, uint64_t n, uint64_t *ret) {
        _cleanup_free_ char *text = NULL;

        int r = read_file("/proc/zoneinfo", &text, NULL);
        return r < 0 ? r : zoneinfo_cpu_pages(text, frame, n, ret);
}

/* Pages on the CPUs' free lists have no flags at all, like pages of the kernel's. How many there are in the zone is known,
 * not where: so many pages may not be called the kernel's. Looked up before and after, since the lists change. */
int unmovable_pages_in_block(uint64_t start, uint64_t size, UnmovablePages *ret) {
        uint64_t page = (uint64_t) sysconf(_SC_PAGESIZE), before, after;
        UnmovablePages p = { 0 };

        _cleanup_close_ int fd = open("/proc/kpageflags", O_RDONLY | O_CLOEXEC);
        if (fd < 0 || read_cpu_pages(start / page, size / page, &before) < 0)
                return -ENODATA;
        int r = count_frames(fd, start / page, size / page, &p);
        if (r < 0)
                return r;
        if (read_cpu_pages(start / page, size / page, &after) < 0)
                return -ENODATA;

        uint64_t free_pages = before > after ? before : after;
        p.other = p.other > free_pages ? p.other - free_pages : 0;
        *ret = p;
        return 0;
}
