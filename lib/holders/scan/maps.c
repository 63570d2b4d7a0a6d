/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <linux/types.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>

#include "holders/scan/maps.h"

enum {
        /* One line and more, of a path as system calls take it, each byte of it at most four when it is escaped. The kernel writes longer ones:
         * its buffer grows until the path of a file fits, however deep that lies (fs/seq_file.c:seq_read_iter, seq_path). */
        BUFFER_SIZE = 32 * 1024,
};

static const char *take_number(const char *p, const char *end, unsigned base, uint64_t *ret) {
        const char *start = p;
        uint64_t v = 0;

        for (; p < end; p++) {
                unsigned digit = *p >= '0' && *p <= '9' ? (unsigned) (*p - '0') :
                                 *p >= 'a' && *p <= 'f' ? (unsigned) (*p - 'a') + 10 : UINT32_MAX;
                if (digit >= base)
                        break;
                if (__builtin_mul_overflow(v, base, &v) || __builtin_add_overflow(v, digit, &v))
                        return NULL;
        }
        *ret = v;
        return p > start ? p : NULL;
}

/* The number and the one character behind it; NULL stays NULL. */
static const char *take_field(const char *p, const char *end, unsigned base, char behind, uint64_t *ret) {
        if (p)
                p = take_number(p, end, base, ret);
        return p && p < end && *p == behind ? p + 1 : NULL;
}

static const char *take_permissions(const char *p, const char *end, char ret[static 5]) {
        static const char allowed[4][3] = { "r-", "w-", "x-", "sp" };

        if (!p || end - p < 5 || p[4] != ' ')
                return NULL;
        for (size_t i = 0; i < ELEMENTSOF(allowed); i++) {
                if (p[i] != allowed[i][0] && p[i] != allowed[i][1])
                        return NULL;
                ret[i] = p[i];
        }
        ret[4] = '\0';
        return p + 5;
}

/* "START-END PERM OFFSET MAJ:MIN INODE[   PATH]" (fs/proc/task_mmu.c:show_vma_header_prefix). The inode is decimal. */
int maps_parse_line(const char *line, size_t length, Mapping *ret) {
        const char *end = line + length, *p = line;
        uint64_t offset, dev_major, dev_minor;
        Mapping m = { 0 };

        p = take_field(p, end, 16, '-', &m.start);
        p = take_field(p, end, 16, ' ', &m.end);
        p = take_permissions(p, end, m.permissions);
        p = take_field(p, end, 16, ' ', &offset);
        p = take_field(p, end, 16, ':', &dev_major);
        p = take_field(p, end, 16, ' ', &dev_minor);
        if (p)
                p = take_number(p, end, 10, &m.inode);
        if (!p || (p < end && *p != ' ') || m.start >= m.end || dev_major > UINT32_MAX || dev_minor > UINT32_MAX)
                return -EBADMSG;

        if (dev_major == 0 && dev_minor == 0)
                return 0;
        m.dev = makedev((unsigned) dev_major, (unsigned) dev_minor);
        while (p < end && *p == ' ')
                p++;
        m.name = p;
        m.name_length = (size_t) (end - p);
        *ret = m;
        return 1;
}

/* The newline is all that is escaped (fs/proc/task_mmu.c:show_map_vma), the backslash itself is not. */
int maps_unescape_name(const char *name, size_t length, char **ret) {
        _cleanup_free_ char *copy = strndup(name, length);
        if (!copy)
                return -ENOMEM;

        char *to = copy;
        for (const char *from = copy; *from; to++) {
                bool newline = startswith(from, "\\012");
                *to = newline ? '\n' : *from;
                from += newline ? strlen("\\012") : 1;
        }
        *to = '\0';
        *ret = *copy ? TAKE_PTR(copy) : NULL;
        return 0;
}

/* Hands out the whole lines of the buffer; *length becomes what is left of the last one, moved to the beginning. */
static int take_lines(char *buffer, size_t *length, MappingFunc func, void *userdata) {
        char *p = buffer, *end = buffer + *length;

        for (char *newline; (newline = memchr(p, '\n', (size_t) (end - p))); p = newline + 1) {
                Mapping m;

                int r = maps_parse_line(p, (size_t) (newline - p), &m);
                if (r > 0)
                        r = func(&m, userdata);
                if (r != 0)
                        return r;
        }
        *length = (size_t) (end - p);
        memmove(buffer, p, *length);
        return 0;
}

/* All but the name, which nobody could do anything with. */
static int take_cut_line(const char *line, size_t length, MappingFunc func, void *userdata) {
        Mapping m;

        int r = maps_parse_line(line, length, &m);
        if (r <= 0)
                return r;
        m.name_length = 0;
        return func(&m, userdata);
}

/* Drops what belongs to a line that was cut. Is it over? */
static bool drop_rest(char *buffer, size_t *length) {
        char *newline = memchr(buffer, '\n', *length);
        size_t n = newline ? (size_t) (newline - buffer) + 1 : *length;

        *length -= n;
        memmove(buffer, buffer + n, *length);
        return newline;
}

int maps_each_text(int fd, MappingFunc func, void *userdata) {
        char buffer[BUFFER_SIZE];
        size_t length = 0;
        bool any = false, cut = false;

        for (;;) {
                ssize_t n = read(fd, buffer + length, sizeof(buffer) - length);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                if (n == 0)
                        return length > 0 || cut ? -EBADMSG : any ? 0 : -ESRCH;

                any = true;
                length += (size_t) n;
                cut = cut && !drop_rest(buffer, &length);
                int r = take_lines(buffer, &length, func, userdata);
                if (r == 0 && length == sizeof(buffer)) {
                        r = take_cut_line(buffer, length, func, userdata);
                        length = 0;
                        cut = true;
                }
                if (r != 0)
                        return r;
        }
}

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
