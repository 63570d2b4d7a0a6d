/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <linux/kernel-page-flags.h>

#include "base/fileio.h"
#include "kernel/memory/memmap.h"
#include "kernel/pages/page-frame.h"

/* Not in the exported header (include/linux/kernel-page-flags.h), though shown to everybody who may read the file. */
#define KPF_RESERVED 32
#define KPF_PRIVATE 35

#define FLAG(name) (UINT64_C(1) << KPF_##name)

enum {
        AT_ONCE = 4096,
};

/* What belongs to a process or a file, and what nobody may touch whatever else it says it is. (KPF_KSM says nothing: of 6.12 every
 * anonymous page has it, fs/proc/page.c:stable_page_flags.) */
static const uint64_t users = FLAG(LRU) | FLAG(ANON) | FLAG(MMAP) | FLAG(SWAPBACKED);
static const uint64_t never = FLAG(NOPAGE) | FLAG(BUDDY) | FLAG(SLAB) | FLAG(PGTABLE) | FLAG(RESERVED) | FLAG(OFFLINE) | FLAG(ZERO_PAGE) |
                              FLAG(HUGE) | FLAG(THP) | FLAG(COMPOUND_HEAD) | FLAG(COMPOUND_TAIL);

/* Each mapping has a reference; so have the swap cache, the file that it is a page of, and what the file system knows about it
 * (include/linux/mm.h:folio_expected_ref_count, of newer kernels). */
PageFrameKind page_frame_judge(uint64_t flags, uint64_t mappings, uint64_t references, uint64_t *ret_extra) {
        bool poisoned = flags & FLAG(HWPOISON);
        uint64_t known = 1;

        if (!poisoned) {
                known = mappings;
                known += flags & FLAG(SWAPCACHE) || !(flags & FLAG(ANON));
                known += (flags & FLAG(PRIVATE)) != 0;
        }
        *ret_extra = references > known ? references - known : 0;
        if (poisoned)
                return PAGE_FRAME_POISONED;
        return flags & users && !(flags & never) ? PAGE_FRAME_USERS : PAGE_FRAME_OTHER;
}

/* Both files are arrays of 64-bit words by page frame number (fs/proc/page.c). */
static int read_words(const char *path, uint64_t frame, size_t n, uint64_t *ret) {
        _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return -errno;
        ssize_t got = pread(fd, ret, n * sizeof(*ret), (off_t) (frame * sizeof(*ret)));
        if (got < 0)
                return -errno;
        return (size_t) got == n * sizeof(*ret) ? 0 : -ENODATA;
}

int page_flags_read(uint64_t frame, size_t n, uint64_t *ret) {
        return read_words("/proc/kpageflags", frame, n, ret);
}

/* Frames of one stretch, as three arrays. */
typedef struct Look {
        Memmap memmap;
        uint64_t flags[AT_ONCE], mappings[AT_ONCE];
        const uint64_t *references; /* the low half of each */
} Look;

static void look_free(Look *l) {
        if (!l)
                return;
        memmap_done(&l->memmap);
        free(l);
}
DEFINE_CLEANUP_FUNC(Look, look_free)

static int look_open(Look **ret, char **ret_why) {
        _cleanup_(look_freep) Look *l = calloc(1, sizeof(*l));
        if (!l)
                return -ENOMEM;
        int r = memmap_open(&l->memmap, ret_why);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(l);
        return 0;
}

static int look_at(Look *l, uint64_t address, size_t n, char **ret_why) {
        const Memmap *m = &l->memmap;
        uint64_t frame = address / m->frame_size;

        int r = page_flags_read(frame, n, l->flags);
        if (r >= 0)
                r = read_words("/proc/kpagecount", frame, n, l->mappings);
        if (r >= 0)
                r = kernel_memory_gather(m->memory, memmap_entry(m, address) + m->refcount, m->entry_size, n, &l->references);
        if (r < 0)
                *ret_why = strf("the pages at 0x%jx cannot be looked at: %s", (uintmax_t) address, strerror(-r));
        return r;
}

static PageFrame frame_of(const Look *l, size_t i, uint64_t address) {
        PageFrame f = { .address = address };

        f.kind = page_frame_judge(l->flags[i], l->mappings[i], (uint32_t) l->references[i], &f.extra);
        return f;
}

int page_frame_look(uint64_t address, PageFrame *ret, char **ret_why) {
        _cleanup_(look_freep) Look *l = NULL;

        int r = look_open(&l, ret_why);
        if (r >= 0)
                r = look_at(l, address, 1, ret_why);
        if (r < 0)
                return r;
        *ret = frame_of(l, 0, address);
        return 0;
}

int page_frames_find(uint64_t start, uint64_t size, PageFrameKind kind, size_t max, PageFrame **ret, size_t *ret_n, char **ret_why) {
        _cleanup_free_ PageFrame *frames = calloc(max ?: 1, sizeof(*frames));
        _cleanup_(look_freep) Look *l = NULL;
        size_t n_frames = 0;

        if (!frames)
                return -ENOMEM;
        int r = look_open(&l, ret_why);
        if (r < 0)
                return r;
        uint64_t page = l->memmap.frame_size;
        for (uint64_t done = 0; done < size / page; done += AT_ONCE) {
                size_t n = size / page - done < AT_ONCE ? (size_t) (size / page - done) : AT_ONCE;
                uint64_t from = start + done * page;

                r = look_at(l, from, n, ret_why);
                if (r < 0)
                        return r;
                for (size_t i = 0; i < n && n_frames < max; i++) {
                        frames[n_frames] = frame_of(l, i, from + i * page);
                        n_frames += frames[n_frames].kind == kind && frames[n_frames].extra > 0;
                }
        }
        *ret = TAKE_PTR(frames);
        *ret_n = n_frames;
        return 0;
}

/* Few machines have any, and this spares them a look at every page. A kernel that gives none up has no such line. */
static bool machine_has_poisoned(void) {
        _cleanup_free_ char *text = NULL;

        if (read_file("/proc/meminfo", &text, NULL) < 0)
                return true;
        const char *line = strstr(text, "\nHardwareCorrupted:");
        return line && strtoull(line + strlen("\nHardwareCorrupted:"), NULL, 10) > 0;
}

bool page_frames_may_be_poisoned(uint64_t start, uint64_t size) {
        uint64_t page = (uint64_t) sysconf(_SC_PAGESIZE), n = size / page;
        _cleanup_free_ uint64_t *flags = calloc(AT_ONCE, sizeof(*flags));

        if (!machine_has_poisoned())
                return false;
        for (uint64_t done = 0; done < n; done += AT_ONCE) {
                size_t part = n - done < AT_ONCE ? (size_t) (n - done) : AT_ONCE;

                if (!flags || page_flags_read(start / page + done, part, flags) < 0)
                        return true;
                for (size_t i = 0; i < part; i++)
                        if (flags[i] & FLAG(HWPOISON))
                                return true;
        }
        return false;
}
