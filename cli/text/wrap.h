/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/util.h"

/* In front of a line that is never wrapped, since somebody will copy it as a whole: a command. Is taken away. */
#define TEXT_AS_IT_IS "\001"

/* The lines of a text, those that are too long broken at blanks; what follows stands below the last column of its line (two blanks end a
 * column). A word that is too long for any line is never broken. Escape sequences take no room, a code point takes one column. 0 columns:
 * nothing is broken. Newly allocated; NULL when out of memory. */
char *text_wrap(const char *text, size_t columns);

/* Bytes of the longest start of s that takes at most `columns`. */
size_t text_clip(const char *s, size_t columns);

/* Prints words behind a left column of `indent`, as many to a line of 80 columns as fit, and ends the line. The cursor is at `column`: behind the
 * left column the words begin on the next line. */
void text_print_words(const char *words, size_t column, size_t indent);
