/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "base/parse.h"
#include "kernel/block/swaps.h"
#include "kernel/sysfs/escape.h"

void swap_entries_done(SwapEntries *l) {
        for (size_t i = 0; i < l->n_items; i++)
                free(l->items[i].path);
        free(l->items);
        *l = (SwapEntries) { 0 };
}

/* Fields stand in columns, with tabs and blanks between. */
static char *take_field(char **rest) {
        char *field;

        do
                field = strsep(rest, " \t");
        while (field && !*field);
        return field;
}

static int take_kib(char **rest, uint64_t *ret) {
        const char *field = take_field(rest);
        uint64_t kib, bytes;

        if (!field || parse_u64(field, &kib) < 0 || __builtin_mul_overflow(kib, 1024, &bytes))
                return -EBADMSG;
        *ret = bytes;
        return 0;
}

/* The kernel's own are negative. */
static int take_priority(char **rest, int *ret) {
        const char *field = take_field(rest);
        bool negative = field && *field == '-';
        uint64_t v;

        if (!field || parse_u64(field + negative, &v) < 0 || v > INT32_MAX)
                return -EBADMSG;
        *ret = negative ? -(int) v : (int) v;
        return 0;
}

static int parse_line(char *line, SwapEntry *s) {
        char *rest = line, *path = take_field(&rest);
        const char *type = take_field(&rest);

        if (!path || !type)
                return -EBADMSG;
        s->file = streq(type, "file");

        int r = take_kib(&rest, &s->size);
        if (r >= 0)
                r = take_kib(&rest, &s->used);
        if (r >= 0)
                r = take_priority(&rest, &s->priority);
        if (r < 0)
                return r;
        s->path = strdup(path);
        if (!s->path)
                return -ENOMEM;
        octal_unescape(s->path);
        return 0;
}

int swaps_parse(const char *text, SwapEntries *l) {
        _cleanup_free_ char *copy = strdup(text);
        if (!copy)
                return -ENOMEM;

        char *rest = copy;
        (void) strsep(&rest, "\n");
        for (char *line; (line = strsep(&rest, "\n"));) {
                SwapEntry s = { 0 };

                if (!*line)
                        continue;
                int r = parse_line(line, &s);
                if (r >= 0)
                        r = vec_grow((void **) &l->items, l->n_items, &l->n_allocated, sizeof(l->items[0]));
                if (r < 0) {
                        free(s.path);
                        return r;
                }
                l->items[l->n_items++] = s;
        }
        return 0;
}
