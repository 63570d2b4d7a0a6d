/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <ctype.h>
#include <errno.h>

#include "base/parse.h"

static int parse_base(const char *s, int base, uint64_t *ret) {
        /* strtoull() takes signs, blanks and a prefix of its own; a kernel attribute or a user's number has none of them. */
        if (!*s || s[strspn(s, base == 16 ? "0123456789abcdefABCDEF" : "0123456789")])
                return -EINVAL;

        char *end = NULL;
        errno = 0;
        unsigned long long v = strtoull(s, &end, base);
        if (errno == ERANGE)
                return -ERANGE;
        if (errno != 0 || *end)
                return -EINVAL;

        *ret = v;
        return 0;
}

int parse_hex(const char *s, uint64_t *ret) {
        const char *digits = startswith(s, "0x") ?: s;

        return parse_base(digits, 16, ret);
}

int parse_u64(const char *s, uint64_t *ret) {
        return startswith(s, "0x") ? parse_hex(s, ret) : parse_base(s, 10, ret);
}

int parse_bool(const char *s, bool *ret) {
        static const char *const yes[] = { "yes", "true", "on", "1" };
        static const char *const no[] = { "no", "false", "off", "0" };

        for (size_t i = 0; i < ELEMENTSOF(yes); i++) {
                if (streq(s, yes[i])) {
                        *ret = true;
                        return 0;
                }
                if (streq(s, no[i])) {
                        *ret = false;
                        return 0;
                }
        }
        return -EINVAL;
}

/* Matches s against a shape in which 'h' stands for one hexadecimal digit, '1' for 0 or 1, '7' for 0 to 7, and everything else
 * for itself. */
static bool has_shape(const char *s, const char *shape) {
        for (; *shape; s++, shape++) {
                bool fits = *shape == 'h' ? isxdigit((unsigned char) *s) :
                            *shape == '1' || *shape == '7' ? *s >= '0' && *s <= *shape : *s == *shape;
                if (!fits)
                        return false;
        }
        return *s == '\0';
}

int parse_bdf(const char *s, char **ret, bool *ret_has_domain) {
        bool has_domain = has_shape(s, "hhhh:hh:1h.7") || has_shape(s, "hhhhh:hh:1h.7");
        if (!has_domain && !has_shape(s, "hh:1h.7"))
                return -EINVAL;

        char *copy = strdup(s);
        if (!copy)
                return -ENOMEM;
        for (char *p = copy; *p; p++)
                *p = (char) tolower((unsigned char) *p);

        *ret = copy;
        *ret_has_domain = has_domain;
        return 0;
}

bool digest_is_meant(const char *asked, const char *digest) {
        size_t n = asked ? strlen(asked) : 0;

        if (!asked || !digest)
                return false;
        return streq(asked, digest) || (n >= DIGEST_SHORTEST && n <= strlen(digest) && strncasecmp(asked, digest, n) == 0);
}
