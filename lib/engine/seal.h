/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/json.h"

/* A document that carries the SHA-256 of itself: one line of JSON whose last key is "sha256", the digest of the same line without that
 * key and without its end. Everybody can make it again:
 *      sed 's/,"sha256":"[0-9a-f]*"}$/}/' certificate.json | tr -d '\n' | sha256sum */

enum {
        SHA256_HEX = 64 + 1,
};

/* In hexadecimal, with a NUL. */
void sha256_of(const char *data, size_t length, char ret[static SHA256_HEX]);

/* The line with its end, newly allocated; NULL when out of memory. */
char *seal_text(json_object *o, char ret_sha256[static SHA256_HEX]);

/* -EBADMSG when a single byte is not as it was sealed, or it is no JSON object. */
int seal_open(const char *text, size_t length, json_object **ret, char ret_sha256[static SHA256_HEX]);
