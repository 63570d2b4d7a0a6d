/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/fileio.h"
#include "holders/seen-mounts.h"
#include "kernel/mounts/mount-ns.h"
#include "kernel/process/user-ns.h"

void seen_mounts_done(SeenMounts *s) {
        free(s->items);
        free(s->devs);
        id_map_done(&s->by_id);
        id_map_done(&s->by_dev);
        id_map_done(&s->by_st_dev);
        id_map_done(&s->namespaces);
        *s = (SeenMounts) { 0 };
}

static SeenMount *find(const SeenMounts *s, uint64_t id) {
        size_t i;

        return id_map_find(&s->by_id, id, &i) ? &s->items[i] : NULL;
}

const SeenMount *seen_mount(const SeenMounts *s, uint64_t id) {
        return find(s, id);
}

bool seen_mounts_overlay(const SeenMounts *s, dev_t dev) {
        size_t i;

        return id_map_find(&s->by_dev, dev, &i) && s->items[i].dev == dev && s->items[i].overlay;
}

/* 0: none. A process with another root sees other mounts than its namespace has. */
static uint64_t namespace_of(int dirfd) {
        _cleanup_free_ char *root = NULL;
        struct stat st;

        if (read_link_at(dirfd, "root", &root) < 0 || !streq(root, "/") || fstatat(dirfd, "ns/mnt", &st, 0) < 0)
                return 0;
        return st.st_ino;
}

/* Once it was read, and not before: who ends while it is read of him leaves it to the next one in it. */
static int know(SeenMounts *s, uint64_t namespace) {
        int r = namespace > 0 ? id_map_add(&s->namespaces, namespace, 0) : 0;

        return r < 0 ? r : 0;
}

int seen_mounts_learn(SeenMounts *s, int dirfd) {
        _cleanup_mount_entries_ MountEntries entries = { 0 };
        _cleanup_free_ char *text = NULL;
        struct stat users;

        uint64_t namespace = namespace_of(dirfd);
        if (namespace > 0 && id_map_find(&s->namespaces, namespace, &(size_t) { 0 }))
                return 0;
        bool foreign = fstatat(dirfd, "ns/user", &users, 0) >= 0 && users.st_ino != user_ns_host();
        int r = read_file_at_most(dirfd, "mountinfo", foreign ? MOUNT_NS_TABLE_BYTES : MOUNT_NS_WHOLE_TABLE_BYTES, &text, NULL);
        if (r == -EFBIG)
                return know(s, namespace);
        if (r >= 0)
                r = mountinfo_parse(text, &entries);
        if (r < 0)
                return r;
        for (size_t i = 0; i < entries.n_items; i++) {
                const MountEntry *e = &entries.items[i];
                SeenMount *m = find(s, e->id);

                if (!m) {
                        r = vec_grow((void **) &s->items, s->n_items, &s->n_allocated, sizeof(SeenMount));
                        if (r >= 0)
                                r = id_map_add(&s->by_id, e->id, s->n_items);
                        if (r < 0)
                                return r;
                        m = &s->items[s->n_items++];
                }
                r = id_map_add(&s->by_dev, e->dev, (size_t) (m - s->items));
                if (r < 0)
                        return r;
                *m = (SeenMount) { .id = e->id, .dev = e->dev, .overlay = streq(e->type, "overlay") };
        }
        return know(s, namespace);
}

bool seen_dev(const SeenMounts *s, dev_t st_dev, dev_t *ret) {
        size_t i;

        if (!id_map_find(&s->by_st_dev, st_dev, &i))
                return false;
        *ret = s->devs[i].dev;
        return true;
}

int seen_dev_add(SeenMounts *s, dev_t st_dev, dev_t dev) {
        int r = vec_grow((void **) &s->devs, s->n_devs, &s->n_devs_allocated, sizeof(SeenDev));
        if (r >= 0)
                r = id_map_add(&s->by_st_dev, st_dev, s->n_devs);
        if (r <= 0)
                return r;
        s->devs[s->n_devs++] = (SeenDev) { .st_dev = st_dev, .dev = dev };
        return 0;
}

static int add_own(SeenMounts *s, int fd) {
        struct stat st;

        if (fd < 0 || fstat(fd, &st) < 0)
                return 0; /* the kernel has no such files, so nobody has one open */
        return seen_dev_add(s, st.st_dev, st.st_dev);
}

int seen_mounts_learn_kernel(SeenMounts *s) {
        int pipes[2] = { -EBADF, -EBADF };

        if (pipe2(pipes, O_CLOEXEC) < 0)
                return -errno;
        _cleanup_close_ int read_end = pipes[0];
        _cleanup_close_ int write_end = pipes[1];
        _cleanup_close_ int event = eventfd(0, EFD_CLOEXEC);
        _cleanup_close_ int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        _cleanup_close_ int memory = memfd_create("safe-remove", MFD_CLOEXEC);

        int r = add_own(s, read_end);
        if (r >= 0)
                r = add_own(s, event);
        if (r >= 0)
                r = add_own(s, sock);
        if (r >= 0)
                r = add_own(s, memory);
        return r;
}
