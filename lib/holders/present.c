/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "holders/maps.h"
#include "holders/present.h"

/* Documentation/admin-guide/mm/pagemap.rst: 64 bits a page, the highest for "present". */
#define PAGE_PRESENT (UINT64_C(1) << 63)

typedef struct Look {
        int pid, pagemap;
        TargetKind kind;
        dev_t dev;
        uint64_t page_size, present;
} Look;

/* The dev of the mapping is the file system's that file or node lies on; which device a node is says the link. */
static bool is_of_target(const Look *l, const Mapping *m) {
        if (l->kind == TARGET_FS)
                return m->dev == l->dev;

        _cleanup_free_ char *path = strf("/proc/%d/map_files/%jx-%jx", l->pid, (uintmax_t) m->start, (uintmax_t) m->end);
        struct stat st;

        return path && stat(path, &st) >= 0 && S_ISCHR(st.st_mode) && st.st_rdev == l->dev;
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

int holder_pages_present(const Holder *h, TargetKind kind, dev_t dev, uint64_t *ret) {
        _cleanup_free_ char *maps_path_ = strf("/proc/%d/maps", h->pid), *pagemap_path = strf("/proc/%d/pagemap", h->pid);
        Look l = { .pid = h->pid, .kind = kind, .dev = dev, .page_size = (uint64_t) sysconf(_SC_PAGESIZE) };
        MapsWay way = MAPS_BEST;

        if (!maps_path_ || !pagemap_path)
                return -ENOMEM;
        _cleanup_close_ int maps = open(maps_path_, O_RDONLY | O_CLOEXEC);
        _cleanup_close_ int pagemap = maps < 0 ? -EBADF : open(pagemap_path, O_RDONLY | O_CLOEXEC);
        if (maps < 0 || pagemap < 0)
                return errno == ENOENT ? -ESRCH : -errno;
        l.pagemap = pagemap;
        int r = maps_each(maps, &way, count, &l);
        if (r < 0)
                return r;
        *ret = l.present;
        return 0;
}
