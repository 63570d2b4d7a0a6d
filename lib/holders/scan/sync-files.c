/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/stat.h>

#include "holders/process.h"
#include "holders/scan/maps.h"
#include "holders/scan/sync-files.h"
#include "kernel/sysfs/listing.h"

typedef struct Look {
        int pid, dirfd;
        int shared;             /* where its mappings are shown */
        dev_t dev;
} Look;

/* A file that is gone from there meanwhile was closed or unmapped. */
static int sync_one(int at, const char *path) {
        _cleanup_close_ int fd = openat(at, path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

        if (fd < 0)
                return errno == ENOENT ? 0 : -errno;
        return fsync(fd) < 0 ? -errno : 0;
}

static int sync_mapping(const Mapping *m, void *userdata) {
        const Look *l = userdata;

        if (m->dev != l->dev)
                return 0;
        _cleanup_free_ char *path = strf("map_files/%" PRIx64 "-%" PRIx64, m->start, m->end);
        return path ? sync_one(l->shared, path) : -ENOMEM;
}

static int sync_open(const Look *l, const char *thread) {
        _cleanup_listing_ Listing fds = { 0 };

        int r = listing_readf(&fds, "/proc/%d/task/%s/fd", l->pid, thread);
        for (size_t i = 0; i < fds.n && r >= 0; i++) {
                _cleanup_free_ char *path = strf("task/%s/fd/%s", thread, fds.names[i]);
                struct stat st;
                if (!path)
                        return -ENOMEM;
                if (fstatat(l->dirfd, path, &st, 0) >= 0 && S_ISREG(st.st_mode) && st.st_dev == l->dev)
                        r = sync_one(l->dirfd, path);
        }
        return r == -ENOENT ? 0 : r;
}

int holder_sync_files(const Holder *h, dev_t dev) {
        _cleanup_listing_ Listing threads = { 0 };
        _cleanup_close_ int dirfd = -EBADF, living = -EBADF;

        int r = process_open(h->pid, h->start_time, &dirfd, NULL);
        if (r >= 0)
                r = process_open_living(dirfd, &living);
        if (r < 0)
                return r;
        const Look l = { .pid = h->pid, .dirfd = dirfd, .shared = process_shared(dirfd, living), .dev = dev };
        _cleanup_close_ int maps = openat(l.shared, "maps", O_RDONLY | O_CLOEXEC);
        MapsWay way = MAPS_BEST;
        r = maps < 0 ? -errno : maps_each(maps, &way, sync_mapping, (void *) &l);
        if (r >= 0)
                r = listing_readf(&threads, "/proc/%d/task", h->pid);
        for (size_t i = 0; i < threads.n && r >= 0; i++)
                r = sync_open(&l, threads.names[i]);
        return r == -ENOENT ? -ESRCH : r;
}
