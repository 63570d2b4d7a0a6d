/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "base/parse.h"
#include "holders/memory/zoneinfo.h"

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
