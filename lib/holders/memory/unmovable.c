/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <linux/kernel-page-flags.h>

#include "base/fileio.h"
#include "base/parse.h"
#include "holders/memory/unmovable.h"

typedef struct ZoneInfo {
        uint64_t spanned;
        uint64_t cpu_pages;
} ZoneInfo;

/* The number behind a word that begins the line: "        spanned  131072", "              count: 348". 1, or 0 when it is
 * another line. */
static int take_value(const char *line, size_t length, const char *word, uint64_t *ret) {
        size_t blanks = strspn(line, " "), n = strlen(word);

        if (blanks + n > length || strncmp(line + blanks, word, n) != 0)
                return 0;
        const char *p = line + blanks + n;
        size_t gap = strspn(p, " ");
        if (gap == 0)
                return 0;
        p += gap;

        _cleanup_free_ char *number = strndup(p, (size_t) (line + length - p));
        if (!number)
                return -ENOMEM;
        return parse_u64(number, ret) < 0 ? -EBADMSG : 1;
}

/* A zone ends with its first frame (mm/vmstat.c:zoneinfo_show_print); one without pages has neither lists nor that line. */
static int take_line(const char *line, size_t length, ZoneInfo *zone, uint64_t *ret_start) {
        uint64_t v;

        if (startswith(line, "Node "))
                *zone = (ZoneInfo) { 0 };

        int r = take_value(line, length, "spanned", &zone->spanned);
        if (r != 0)
                return r < 0 ? r : 0;
        r = take_value(line, length, "count:", &v);
        if (r != 0)
                return r < 0 || __builtin_add_overflow(zone->cpu_pages, v, &zone->cpu_pages) ? -EBADMSG : 0;
        return take_value(line, length, "start_pfn:", ret_start);
}

int zoneinfo_cpu_pages(const char *text, uint64_t first, uint64_t n, uint64_t *ret) {
        uint64_t sum = 0, start = 0;
        ZoneInfo zone = { 0 };

        while (*text) {
                size_t length = strcspn(text, "\n");

                int r = take_line(text, length, &zone, &start);
                if (r < 0)
                        return r;
                bool reaches = r > 0 && (start >= first ? start - first < n : first - start < zone.spanned);
                if (reaches && __builtin_add_overflow(sum, zone.cpu_pages, &sum))
                        return -EBADMSG;
                text += length + (text[length] == '\n');
        }
        *ret = sum;
        return 0;
}

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
