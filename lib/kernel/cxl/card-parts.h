/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "kernel/cxl/library.h"

enum {
        CARD_TEXT_MAX = 256,    /* bytes */
};

/* In the process that asks the libraries: what each of them has to say, added to the answer's arrays. What cannot be asked is a note of the answer. */
void card_ask_cxl(Library *l, json_object *question, json_object *answer);
void card_ask_nd(Library *l, json_object *question, json_object *answer);

/* One more of the answer's notes; after the 64th none. */
void card_note(json_object *answer, const char *format, ...) _printf_(2, 3);

/* Why a card was not asked, or gave no answer, for a note. Static, or strerror()'s. */
const char *card_why(int error);

/* A number, or null where it is beyond the range that makes sense. */
void card_set_number(json_object *o, const char *key, int64_t value, int64_t least, int64_t most);

/* Of 0 and 1; anything else is null. */
void card_set_flag(json_object *o, const char *key, int value);

/* A text of the card's own, of that many bytes at most, without blanks at its end; null for an empty one. It is for people: what cannot be printed
 * is "?". */
void card_set_text(json_object *o, const char *key, const char *bytes, size_t n);

/* "mem1" -> "disabled", "unlocked", "locked", "frozen", "sanitize"; "nmem0" -> also "overwrite". From sysfs, no library is asked. *ret is NULL where
 * the kernel has no word for it. */
int card_security_read(const char *device, char **ret);
