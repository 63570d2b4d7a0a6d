/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/util.h"

/* Strict number readers: the whole string, no sign, no blanks around it. 0, -EINVAL or -ERANGE.
 * parse_u64() takes decimal, or hexadecimal after 0x. */
int parse_u64(const char *s, uint64_t *ret);
int parse_hex(const char *s, uint64_t *ret);

/* yes/no, true/false, on/off, 1/0. */
int parse_bool(const char *s, bool *ret);

/* "DDDD:BB:DD.F" or "BB:DD.F" (domain 0000 is then *not* assumed: *ret_has_domain is false and the text is
 * kept as written). Lower-cases. -EINVAL when it is not an address. */
int parse_bdf(const char *s, char **ret, bool *ret_has_domain);

enum {
        DIGEST_LENGTH = 64,     /* hex digits of a SHA-256 */
        DIGEST_SHORTEST = 8,    /* that stand for one */
};

/* Does somebody who writes `asked` mean this digest: all of it, or no fewer than its first DIGEST_SHORTEST digits? Either may be NULL: no. */
bool digest_is_meant(const char *asked, const char *digest);
