/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "base/util.h"

char *strfv(const char *format, va_list ap) {
        char *s = NULL;

        return vasprintf(&s, format, ap) < 0 ? NULL : s;
}

char *strf(const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        char *s = strfv(format, ap);
        va_end(ap);
        return s;
}

char *shell_quoted(const char *word) {
        static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789@%+=:,./_-";

        if (!word)
                return NULL;
        if (*word && !word[strspn(word, plain)])
                return strdup(word);

        char *quoted = malloc(4 * strlen(word) + 3), *p = quoted;
        if (!quoted)
                return NULL;
        *p++ = '\'';
        for (; *word; word++)
                if (*word == '\'')
                        p = stpcpy(p, "'\\''");
                else
                        *p++ = *word;
        strcpy(p, "'");
        return quoted;
}

int vec_grow(void **items, size_t n_items, size_t *n_allocated, size_t item_size) {
        if (n_items < *n_allocated)
                return 0;

        size_t want = *n_allocated ? *n_allocated * 2 : 8;
        void *grown = reallocarray(*items, want, item_size);
        if (!grown)
                return -ENOMEM;

        *items = grown;
        *n_allocated = want;
        return 0;
}
