/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <sys/stat.h>

#include "base/fileio.h"
#include "base/parse.h"
#include "sub-uid.h"

enum {
        FILE_MAX_BYTES = 4 * 1024 * 1024,
};

typedef struct Range {
        uint32_t first, last;
} Range;

static struct {
        Range *items;          size_t n, a;
        ino_t inode;
        off_t size;
        struct timespec changed;
} ranges;

static int compare(const void *a, const void *b) {
        const Range *x = a, *y = b;

        return x->first < y->first ? -1 : x->first > y->first;
}

/* NAME:FIRST:COUNT */
static bool parse_line(char *line, Range *ret) {
        char *first = strchr(line, ':'), *count = first ? strchr(first + 1, ':') : NULL;
        uint64_t begin, n;

        if (*line == '#' || !count)
                return false;
        *first++ = *count++ = '\0';
        if (parse_u64(first, &begin) < 0 || parse_u64(count, &n) < 0 || n == 0 || begin > UINT32_MAX || n > UINT32_MAX - begin)
                return false;
        *ret = (Range) { .first = (uint32_t) begin, .last = (uint32_t) (begin + n - 1) };
        return true;
}

/* Whoever has some of a number's ranges has it: those that overlap are one. */
static void join(void) {
        size_t n = 0;

        if (ranges.n > 1)
                qsort(ranges.items, ranges.n, sizeof(Range), compare);
        for (size_t i = 0; i < ranges.n; i++)
                if (n > 0 && ranges.items[i].first <= ranges.items[n - 1].last)
                        ranges.items[n - 1].last = ranges.items[i].last > ranges.items[n - 1].last ? ranges.items[i].last : ranges.items[n - 1].last;
                else
                        ranges.items[n++] = ranges.items[i];
        ranges.n = n;
}

static void read_ranges(const char *path) {
        _cleanup_free_ char *text = NULL;

        ranges.n = 0;
        if (read_file_at_most(AT_FDCWD, path, FILE_MAX_BYTES, &text, NULL) < 0)
                return;
        for (char *line = text, *next; line && *line; line = next) {
                Range range;

                next = strchr(line, '\n');
                if (next)
                        *next++ = '\0';
                if (parse_line(line, &range) && vec_grow((void **) &ranges.items, ranges.n, &ranges.a, sizeof(Range)) >= 0)
                        ranges.items[ranges.n++] = range;
        }
        join();
}

static void refresh(void) {
        const char *path = getenv("SAFE_REMOVE_SUBUID") ?: "/etc/subuid"; /* tests have one of their own */
        struct stat st = { 0 };

        (void) stat(path, &st);
        if (st.st_ino == ranges.inode && st.st_mtim.tv_sec == ranges.changed.tv_sec && st.st_mtim.tv_nsec == ranges.changed.tv_nsec &&
            st.st_size == ranges.size)
                return;
        ranges.inode = st.st_ino;
        ranges.changed = st.st_mtim;
        ranges.size = st.st_size;
        read_ranges(path);
}

static int place(const void *key, const void *item) {
        const uint32_t *uid = key;
        const Range *range = item;

        return *uid < range->first ? -1 : *uid > range->last;
}

uint32_t sub_uid_user(uint32_t uid) {
        refresh();
        const Range *range = ranges.n > 0 ? bsearch(&uid, ranges.items, ranges.n, sizeof(Range), place) : NULL;

        return range ? range->first : uid;
}
