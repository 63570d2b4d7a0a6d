/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <ctype.h>
#include <inttypes.h>

#include "kernel/dm-table.h"
#include "kernel/mountinfo.h"

char *dm_table_translate(const char *table, char *(*translate)(const char *number, void *userdata), void *userdata) {
        _cleanup_free_ char *done = strdup("");

        for (const char *p = table; done && *p;) {
                bool blank = strchr(" \n", *p);
                size_t n = blank ? strspn(p, " \n") : strcspn(p, " \n");
                _cleanup_free_ char *word = strndup(p, n), *other = NULL;
                dev_t dev;

                if (!word)
                        return NULL;
                if (!blank && isdigit((unsigned char) *word) && dev_parse(word, &dev) >= 0)
                        other = translate(word, userdata);
                char *longer = strf("%s%s", done, other ?: word);
                free(done);
                done = longer;
                p += n;
        }
        return TAKE_PTR(done);
}

static bool line_is_crypt(const char *line) {
        uint64_t start, length;
        char type[sizeof("crypt") + 1];

        return sscanf(line, "%" SCNu64 " %" SCNu64 " %6s", &start, &length, type) == 3 && streq(type, "crypt");
}

bool dm_table_hides_key(const char *table) {
        _cleanup_free_ char *copy = strdup(table);
        char *rest = copy;
        bool hides = false;

        for (char *line; (line = strsep(&rest, "\n"));)
                hides = hides || line_is_crypt(line);
        return hides;
}

static char *escaped(const char *s, char for_newline) {
        char *copy = malloc(2 * strlen(s) + 1), *to = copy;

        for (; copy && *s; s++) {
                if (strchr(",;\\", *s))
                        *to++ = '\\';
                *to++ = *s == '\n' ? for_newline : *s;
        }
        if (copy)
                *to = '\0';
        return copy;
}

char *dm_table_concise(const char *name, const char *uuid, bool read_only, const char *table) {
        _cleanup_free_ char *n = escaped(name, '\n'), *u = escaped(uuid, '\n'), *t = escaped(table, ',');

        return n && u && t ? strf("%s,%s,,%s,%s", n, u, read_only ? "ro" : "rw", t) : NULL;
}
