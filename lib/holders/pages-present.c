/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/clock.h"
#include "holders/pages-present.h"
#include "holders/scan/maps.h"
#include "holders/scan/scan-crew.h"

/* Documentation/admin-guide/mm/pagemap.rst: 64 bits a page, the highest for "present". */
#define PAGE_PRESENT (UINT64_C(1) << 63)

enum {
        BUDGET_SEC = 20, /* a terabyte of 4 KiB pages is looked through in less */
};

typedef struct Look {
        int pagemap, map_files;
        TargetKind kind;
        dev_t dev;
        uint64_t page_size, present;
        int result;
} Look;

/* The dev of the mapping is the file system's that file or node lies on; which device a node is says the link. What server is behind
 * another file is not asked. */
static bool is_of_target(const Look *l, const Mapping *m) {
        if (l->kind == TARGET_FS)
                return m->dev == l->dev;

        _cleanup_free_ char *name = strf("%jx-%jx", (uintmax_t) m->start, (uintmax_t) m->end);
        struct statx st;

        return name && statx(l->map_files, name, AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, STATX_TYPE, &st) >= 0 && S_ISCHR(st.stx_mode) &&
               makedev(st.stx_rdev_major, st.stx_rdev_minor) == l->dev;
}

static int count(const Mapping *m, void *userdata) {
        Look *l = userdata;
        uint64_t entries[512];

        if (!is_of_target(l, m))
                return 0;
        for (uint64_t page = m->start / l->page_size, end = m->end / l->page_size; page < end;) {
                size_t n = end - page < ELEMENTSOF(entries) ? (size_t) (end - page) : ELEMENTSOF(entries);
                ssize_t got = pread(l->pagemap, entries, n * sizeof(entries[0]), (off_t) (page * sizeof(entries[0])));

                if (got <= 0)
                        return got < 0 ? -errno : -ESRCH;
                size_t had = (size_t) got / sizeof(entries[0]);
                for (size_t i = 0; i < had; i++)
                        l->present += (entries[i] & PAGE_PRESENT) != 0;
                page += had;
        }
        return 0;
}

/* The whole is the answer, and the part what one look at the process counts. */
static int begin(void *part, void *whole, uint64_t deadline) {
        const Look *w = whole;

        *(Look *) part = (Look) { .kind = w->kind, .dev = w->dev, .page_size = w->page_size };
        return 0;
}

static int look(void *part, int proc, const char *name) {
        Look *l = part;
        MapsWay way = MAPS_BEST;

        _cleanup_close_ int process = openat(proc, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
        _cleanup_close_ int maps = process < 0 ? -EBADF : openat(process, "maps", O_RDONLY | O_CLOEXEC);
        _cleanup_close_ int pagemap = maps < 0 ? -EBADF : openat(process, "pagemap", O_RDONLY | O_CLOEXEC);
        _cleanup_close_ int map_files = pagemap < 0 ? -EBADF : openat(process, "map_files", O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (map_files < 0)
                l->result = errno == ENOENT ? -ESRCH : -errno;
        else {
                l->pagemap = pagemap;
                l->map_files = map_files;
                l->result = maps_each(maps, &way, count, l);
        }
        return 0;
}

static int hand_over(void *part, void *whole) {
        *(Look *) whole = *(const Look *) part;
        return 0;
}

static void end(void *part) {
}

static void take(void *whole, const Gaps *gaps, void *ret) {
        *(Look *) ret = *(const Look *) whole;
        if (!gaps_none(gaps))
                ((Look *) ret)->result = -ETIME;
}

int holder_pages_present(const Holder *h, TargetKind kind, dev_t dev, uint64_t *ret) {
        static const CrewWork work = {
                .part_size = sizeof(Look), .begin = begin, .look = look, .hand_over = hand_over, .end = end, .take = take, .free = free,
        };
        Look *whole = malloc(sizeof(*whole)), found;
        if (!whole)
                return -ENOMEM;
        *whole = (Look) { .kind = kind, .dev = dev, .page_size = (uint64_t) sysconf(_SC_PAGESIZE) };

        int r = crew_run(&work, whole, now_monotonic() + BUDGET_SEC * USEC_PER_SEC, h->pid, &found);
        if (r >= 0)
                r = found.result;
        if (r < 0)
                return r;
        *ret = found.present;
        return 0;
}
