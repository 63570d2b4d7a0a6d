/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <linux/types.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>

#include "holders/scan/maps.h"

/* struct procmap_query of include/uapi/linux/fs.h, 6.11; our own for building with older headers. */
typedef struct MapQuery {
        __u64 size;
        __u64 query_flags, query_addr;
        __u64 vma_start, vma_end, vma_flags, vma_page_size, vma_offset;
        __u64 inode;
        __u32 dev_major, dev_minor;
        __u32 vma_name_size, build_id_size;
        __u64 vma_name_addr, build_id_addr;
} MapQuery;

_Static_assert(sizeof(MapQuery) == 104, "the size is part of the ioctl's number");

#define MAP_QUERY _IOWR('f', 17, MapQuery)

enum {
        /* Flags of what is found, ... */
        QUERY_READABLE = 0x01,
        QUERY_WRITABLE = 0x02,
        QUERY_EXECUTABLE = 0x04,
        QUERY_SHARED = 0x08, /* VM_MAYSHARE, the "s" of the text */
        /* ... and of what is asked for. */
        QUERY_COVERING_OR_NEXT = 0x10,
        QUERY_FILE_BACKED = 0x20,

        NAME_SIZE = 4096, /* the kernel gives no more */
};

static Mapping mapping_of(const MapQuery *q) {
        return (Mapping) {
                .start = q->vma_start,
                .end = q->vma_end,
                .permissions = {
                        q->vma_flags & QUERY_READABLE ? 'r' : '-',
                        q->vma_flags & QUERY_WRITABLE ? 'w' : '-',
                        q->vma_flags & QUERY_EXECUTABLE ? 'x' : '-',
                        q->vma_flags & QUERY_SHARED ? 's' : 'p',
                },
                .dev = makedev(q->dev_major, q->dev_minor),
                .inode = q->inode,
        };
}

static int query(int fd, MapQuery *q) {
        q->size = sizeof(*q);
        q->query_flags = QUERY_COVERING_OR_NEXT | QUERY_FILE_BACKED;
        while (ioctl(fd, MAP_QUERY, q) < 0)
                if (errno != EINTR)
                        return -errno;
        return 0;
}

/* The mappings change while they are asked for, as they do between two reads of the text: no address is looked at twice. */
int maps_each_query(int fd, MappingFunc func, void *userdata) {
        for (uint64_t address = 0;;) {
                MapQuery q = { .query_addr = address };

                int r = query(fd, &q);
                if (r < 0)
                        return r == -ENOENT ? 0 : r;
                Mapping m = mapping_of(&q);
                r = func(&m, userdata);
                if (r != 0)
                        return r;
                address = q.vma_end;
        }
}

int maps_query_path(int fd, const Mapping *m, char **ret) {
        char name[NAME_SIZE] = "";
        MapQuery q = {
                .query_addr = m->start,
                .vma_name_addr = (uintptr_t) name,
                .vma_name_size = sizeof(name),
        };

        int r = query(fd, &q);
        if (r < 0 && r != -ENOENT && r != -ESRCH && r != -ENAMETOOLONG)
                return r;

        bool same = r >= 0 && q.vma_start == m->start && q.inode == m->inode && makedev(q.dev_major, q.dev_minor) == m->dev;
        char *copy = same && *name ? strdup(name) : NULL;
        if (same && *name && !copy)
                return -ENOMEM;
        *ret = copy;
        return 0;
}

int maps_each(int fd, MapsWay *way, MappingFunc func, void *userdata) {
        if (*way != MAPS_TEXT) {
                int r = maps_each_query(fd, func, userdata);
                if (r != -ENOTTY || *way == MAPS_QUERY)
                        return r;
                *way = MAPS_TEXT;
        }
        return maps_each_text(fd, func, userdata);
}

int maps_path(int fd, const Mapping *m, char **ret) {
        return m->name ? maps_unescape_name(m->name, m->name_length, ret) : maps_query_path(fd, m, ret);
}
