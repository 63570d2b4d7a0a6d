/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Acquire and release on one line: declare with one of these, hand over with TAKE_PTR() or TAKE_FD(). */
#define _cleanup_(f) __attribute__((cleanup(f)))
#define _printf_(a, b) __attribute__((format(printf, a, b)))
#define _unused_ __attribute__((unused))
#define _sentinel_ __attribute__((sentinel))

#define ELEMENTSOF(x) (sizeof(x) / sizeof((x)[0]))

#define TAKE_PTR(p)                     \
        ({                              \
                typeof(p) *_pp = &(p);  \
                typeof(p) _p = *_pp;    \
                *_pp = NULL;            \
                _p;                     \
        })

#define TAKE_FD(fd)                     \
        ({                              \
                int *_fp = &(fd);       \
                int _f = *_fp;          \
                *_fp = -EBADF;          \
                _f;                     \
        })

/* Makes func##p(), the form _cleanup_() wants, for a destructor that accepts NULL. */
#define DEFINE_CLEANUP_FUNC(type, func)                 \
        static inline void func##p(type **p) {          \
                if (*p)                                 \
                        func(*p);                       \
        }

static inline void freep(void *p) {
        free(*(void **) p);
}

static inline void closep(int *fd) {
        if (*fd >= 0)
                close(*fd);
}

DEFINE_CLEANUP_FUNC(FILE, fclose)

#define _cleanup_free_ _cleanup_(freep)
#define _cleanup_close_ _cleanup_(closep)
#define _cleanup_fclose_ _cleanup_(fclosep)

static inline bool streq(const char *a, const char *b) {
        return strcmp(a, b) == 0;
}

/* The same, where either may be NULL (and two NULLs are equal). */
static inline bool streq_ptr(const char *a, const char *b) {
        return a && b ? streq(a, b) : a == b;
}

/* The rest of s after the prefix, or NULL where s does not start with it. */
static inline const char *startswith(const char *s, const char *prefix) {
        size_t n = strlen(prefix);

        return strncmp(s, prefix, n) == 0 ? s + n : NULL;
}

/* Where in s the suffix begins, or NULL where s does not end with it. */
static inline const char *endswith(const char *s, const char *suffix) {
        size_t n = strlen(s), m = strlen(suffix);

        return n >= m && strcmp(s + n - m, suffix) == 0 ? s + n - m : NULL;
}

/* A newly allocated formatted string, or NULL when out of memory. */
char *strf(const char *format, ...) _printf_(1, 2);
char *strfv(const char *format, va_list ap) _printf_(1, 0);

/* Makes *text longer by a formatted part, after the separator where it says something already. *text is NULL or newly allocated, and may be
 * another pointer afterwards, which the caller owns as before. 0, or -ENOMEM: it is what it was, so that whoever wants all of it or nothing
 * has to ask. */
int text_add(char **text, const char *separator, const char *format, ...) _printf_(3, 4);

/* What a shell takes for exactly this word: the word itself where nothing in it means anything to a shell, else quoted; one line of
 * UTF-8 without control characters whatever is in it. For commands that people paste. Newly allocated; NULL when out of memory or
 * for NULL. */
char *shell_quoted(const char *word);

/* Grows a vector to hold at least one more element; the pointer is updated in place. 0 or -ENOMEM. */
int vec_grow(void **items, size_t n_items, size_t *n_allocated, size_t item_size);

/* Appends a copy to such a vector of strings. 0 or -ENOMEM. */
int strings_add(char ***strings, size_t *n, size_t *n_allocated, const char *s);

/* The known word that somebody may have meant by `text`, or NULL where none is near: letters left out, put in, changed, exchanged with the next or of
 * the other case (one in three, three at most), or the rest of a longer word left out. `rows` is a table of `n` rows of `size` bytes, each of which
 * begins with its word (a const char *; NULL: none); an array of strings is one too. The first of several that are as near. */
const char *text_nearest(const char *text, const void *rows, size_t n, size_t size);

/* JSON and the bus are UTF-8, a name that the kernel has (of a file, a process) is any bytes. In text each byte that is no
 * UTF-8 has one of 128 code points that nobody else uses, U+F780 for 0x80 to U+F7FF for 0xff. */

/* Length of the well-formed character at s, of which n bytes are there; 0 where there is none (RFC 3629: nothing longer than it
 * must be, no surrogates, nothing beyond U+10FFFF). */
size_t utf8_length(const char *s, size_t n);

/* Is all of it UTF-8? */
bool utf8_is_valid(const char *s, size_t n);

/* Length of the control character at s, 0 for anything else: C0, DEL, a C1 in UTF-8, which some terminals obey, or one of those that end a line
 * or turn the direction of the text, so that a line reads otherwise than it is. */
size_t utf8_control_length(const char *s);

/* For a terminal or a journal: control characters become blanks or "?", a character that stands for a byte U+FFFD. Anybody can give a process or
 * a file a name with them. In place, of the same length. */
void utf8_make_printable(char *s);
bool utf8_is_printable(const char *s);

/* Is the character at s one that stands for a byte? It is 3 bytes long. */
bool utf8_stands_for_byte(const char *s);

/* A copy in which what is no UTF-8 is written as those characters. Newly allocated. */
char *utf8_from_bytes(const char *s);

/* The other way, in place: it only gets shorter. Returns the new length. */
size_t utf8_to_bytes(char *s, size_t n);
