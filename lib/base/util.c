/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <ctype.h>
#include <errno.h>
#include <strings.h>

#include "base/util.h"

/* U+F780 and the following as UTF-8: 1110.1111 10.011110 10.xxxxxx, from 0xc0 on 10.011111. */
enum {
        FIRST = 0xef,
        SECOND = 0x9e,
        TAIL = 0x80,
        TAIL_BITS = 0x3f,
        BYTE_LENGTH = 3,
};

enum {
        WORD_MAX = 32,         /* no known word is longer by much, and nobody's table is larger */
        PREFIX_MIN = 3,
        DISTANCE_MAX = 3,
};

static bool is_tail(unsigned char c) {
        return (c & ~TAIL_BITS) == TAIL;
}

size_t utf8_length(const char *s, size_t n) {
        const unsigned char *u = (const unsigned char *) s;
        uint32_t code;
        size_t length;

        if (n == 0)
                return 0;
        if (u[0] < 0x80)
                return 1;
        if (u[0] >= 0xc2 && u[0] < 0xe0) {
                length = 2;
                code = u[0] & 0x1fU;
        } else if (u[0] >= 0xe0 && u[0] < 0xf0) {
                length = 3;
                code = u[0] & 0x0fU;
        } else if (u[0] >= 0xf0 && u[0] < 0xf5) {
                length = 4;
                code = u[0] & 0x07U;
        } else
                return 0;
        if (length > n)
                return 0;
        for (size_t i = 1; i < length; i++) {
                if (!is_tail(u[i]))
                        return 0;
                code = code << 6 | (u[i] & TAIL_BITS);
        }
        if ((length == 3 && code < 0x800) || (length == 4 && code < 0x10000) || (code >= 0xd800 && code < 0xe000) || code > 0x10ffff)
                return 0;
        return length;
}

bool utf8_is_valid(const char *s, size_t n) {
        for (size_t i = 0, length; i < n; i += length) {
                length = utf8_length(s + i, n - i);
                if (length == 0)
                        return false;
        }
        return true;
}

/* U+2028 to U+202E (line and paragraph, the old embeddings), U+2066 to U+2069 (the new ones), U+200E and U+200F (marks). */
static bool turns_text(const unsigned char *u) {
        if (u[0] != 0xe2)
                return false;
        return (u[1] == 0x80 && ((u[2] >= 0xa8 && u[2] <= 0xae) || u[2] == 0x8e || u[2] == 0x8f)) ||
                (u[1] == 0x81 && u[2] >= 0xa6 && u[2] <= 0xa9);
}

size_t utf8_control_length(const char *s) {
        const unsigned char *u = (const unsigned char *) s;

        if ((u[0] > 0 && u[0] < 0x20) || u[0] == 0x7f)
                return 1;
        if (turns_text(u))
                return 3;
        /* U+0080 to U+009F, and U+061C, the Arabic mark. */
        return (u[0] == 0xc2 && u[1] >= 0x80 && u[1] < 0xa0) || (u[0] == 0xd8 && u[1] == 0x9c) ? 2 : 0;
}

void utf8_make_printable(char *s) {
        static const char replacement[] = "\xef\xbf\xbd";

        for (size_t left = strlen(s), n; left > 0; s += n, left -= n) {
                size_t control = utf8_control_length(s);
                n = utf8_length(s, left) ?: 1;
                if (control > 0)
                        memset(s, strchr("\n\r\t", *s) ? ' ' : '?', control);
                else if (utf8_stands_for_byte(s))
                        memcpy(s, replacement, strlen(replacement));
                else if (n == 1 && (unsigned char) *s >= 0x80)
                        *s = '?';
        }
}

bool utf8_is_printable(const char *s) {
        for (; *s; s++)
                if (utf8_control_length(s) > 0 || utf8_stands_for_byte(s))
                        return false;
        return true;
}

bool utf8_stands_for_byte(const char *s) {
        const unsigned char *u = (const unsigned char *) s;

        return u[0] == FIRST && (u[1] == SECOND || u[1] == SECOND + 1) && is_tail(u[2]);
}

char *utf8_from_bytes(const char *s) {
        size_t n = strlen(s);

        char *copy = malloc(BYTE_LENGTH * n + 1), *to = copy;
        if (!copy)
                return NULL;
        while (n > 0) {
                size_t length = utf8_length(s, n);
                if (length > 0)
                        to = (char *) memcpy(to, s, length) + length;
                else {
                        unsigned char byte = (unsigned char) *s;
                        *to++ = (char) FIRST;
                        *to++ = (char) (SECOND + (byte >= 0xc0));
                        *to++ = (char) (TAIL | (byte & TAIL_BITS));
                        length = 1;
                }
                s += length;
                n -= length;
        }
        *to = '\0';
        return copy;
}

size_t utf8_to_bytes(char *s, size_t n) {
        char *to = s;

        for (size_t i = 0; i < n;)
                if (n - i >= BYTE_LENGTH && utf8_stands_for_byte(s + i)) {
                        unsigned char second = (unsigned char) s[i + 1], third = (unsigned char) s[i + 2];
                        *to++ = (char) ((second == SECOND ? 0x80 : 0xc0) | (third & TAIL_BITS));
                        i += BYTE_LENGTH;
                } else
                        *to++ = s[i++];
        *to = '\0';
        return (size_t) (to - s);
}

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

int text_add(char **text, const char *separator, const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        _cleanup_free_ char *part = strfv(format, ap);
        va_end(ap);
        char *longer = part ? strf("%s%s%s", *text ?: "", *text && **text ? separator : "", part) : NULL;
        if (!longer)
                return -ENOMEM;
        free(*text);
        *text = longer;
        return 0;
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

static size_t smaller(size_t a, size_t b) {
        return a < b ? a : b;
}

/* How many letters are to be left out, put in, changed or exchanged with the next one (optimal string alignment). */
static size_t distance(const char *a, size_t n, const char *b, size_t m) {
        size_t rows[3][WORD_MAX + 1];

        for (size_t k = 0; k <= m; k++)
                rows[0][k] = k;
        for (size_t i = 1; i <= n; i++) {
                size_t *row = rows[i % 3], *above = rows[(i + 2) % 3], *two_above = rows[(i + 1) % 3];
                row[0] = i;
                for (size_t k = 1; k <= m; k++) {
                        int x = tolower((unsigned char) a[i - 1]), y = tolower((unsigned char) b[k - 1]);
                        row[k] = smaller(above[k - 1] + (x != y), smaller(above[k], row[k - 1]) + 1);
                        if (i > 1 && k > 1 && x == tolower((unsigned char) b[k - 2]) && y == tolower((unsigned char) a[i - 2]))
                                row[k] = smaller(row[k], two_above[k - 2] + 1);
                }
        }
        return rows[n % 3][m];
}

const char *text_nearest(const char *text, const void *rows, size_t n, size_t size) {
        size_t length = strlen(text), best = smaller((length + 2) / 3, DISTANCE_MAX) + 1;
        const char *nearest = NULL;

        for (size_t i = 0; i < n && length <= WORD_MAX; i++) {
                const char *word = *(const char *const *) ((const char *) rows + i * size);
                size_t m = word ? strlen(word) : 0;
                if (m == 0 || m > WORD_MAX)
                        continue;
                size_t far = length >= PREFIX_MIN && strncasecmp(text, word, length) == 0 ? 0 : distance(text, length, word, m);
                if (far < best) {
                        best = far;
                        nearest = word;
                }
        }
        return nearest;
}
