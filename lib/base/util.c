/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "base/utf8.h"
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

/* What a terminal or a line of text does not carry: control characters, and what is no UTF-8 (length 0). */
static bool needs_number(const char *s, size_t length) {
        return length == 0 || utf8_control_length(s) > 0;
}

/* $'...', with three octal digits for each byte that cannot be written as it is. */
static char *quoted_with_numbers(const char *word) {
        char *quoted = malloc(4 * strlen(word) + 4), *p = quoted;
        if (!quoted)
                return NULL;
        p = stpcpy(p, "$'");
        for (size_t n = strlen(word), length; n > 0; word += length, n -= length) {
                length = utf8_length(word, n);
                if (needs_number(word, length)) {
                        unsigned char byte = (unsigned char) *word;
                        *p++ = '\\';
                        for (int shift = 6; shift >= 0; shift -= 3)
                                *p++ = (char) ('0' + (byte >> shift & 7));
                        length = 1;
                        continue;
                }
                if (*word == '\'' || *word == '\\')
                        *p++ = '\\';
                p = (char *) memcpy(p, word, length) + length;
        }
        strcpy(p, "'");
        return quoted;
}

static bool has_numbers(const char *word) {
        for (size_t n = strlen(word), length; n > 0; word += length, n -= length) {
                length = utf8_length(word, n);
                if (needs_number(word, length))
                        return true;
        }
        return false;
}

char *shell_quoted(const char *word) {
        static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789@%+=:,./_-";

        if (!word)
                return NULL;
        if (*word && !word[strspn(word, plain)])
                return strdup(word);
        if (has_numbers(word))
                return quoted_with_numbers(word);

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

int strings_add(char ***strings, size_t *n, size_t *n_allocated, const char *s) {
        _cleanup_free_ char *copy = strdup(s);

        int r = copy ? vec_grow((void **) strings, *n, n_allocated, sizeof(char *)) : -ENOMEM;
        if (r < 0)
                return r;
        (*strings)[(*n)++] = TAKE_PTR(copy);
        return 0;
}
