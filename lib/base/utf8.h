/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/util.h"

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
