/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "base/parse.h"
#include "holders/pins/pin-holder.h"

/* What follows the word at the beginning of a line; NULL without such a line. */
static const char *find_line(const char *text, const char *word) {
        for (const char *p = text; p; p = strchr(p, '\n'), p = p ? p + 1 : NULL) {
                const char *rest = startswith(p, word);
                if (rest)
                        return rest;
        }
        return NULL;
}

/* Up to one of the characters, which must be there. */
static int take_u64(const char **p, const char *stop, uint64_t *ret) {
        size_t n = strcspn(*p, stop);
        _cleanup_free_ char *digits = strndup(*p, n);

        if (!digits)
                return -ENOMEM;
        int r = (*p)[n] == '\0' ? -EBADMSG : parse_u64(digits, ret);
        if (r < 0)
                return -EBADMSG;
        *p += n;
        return 0;
}

/* "UserBufs:\tN", and a line "    I: 0xADDRESS/LENGTH" for each, which the kernel leaves out when the ring is busy, or when the place is
 * empty (io_uring/fdinfo.c). Lines of other tables look different. */
int ring_buffers_parse(const char *fdinfo, RingBuffers *ret) {
        RingBuffers buffers = { 0 };
        const char *p = find_line(fdinfo, "UserBufs:\t");

        if (!p)
                return -EBADMSG;
        int r = take_u64(&p, "\n", &buffers.n);
        if (r < 0)
                return r;
        for (p = strchr(p, '\n') + 1; *p == ' '; p = strchr(p, '\n') + 1) {
                uint64_t bytes, address;

                p += strspn(p, " 0123456789");
                p = startswith(p, ": ");
                if (!p)
                        return -EBADMSG;
                if (*p == '0') {
                        r = take_u64(&p, "/\n", &address);
                        if (r >= 0 && *p++ != '/')
                                r = -EBADMSG;
                        if (r >= 0)
                                r = take_u64(&p, "\n", &bytes);
                        if (r < 0 || __builtin_add_overflow(buffers.bytes, bytes, &buffers.bytes))
                                return r < 0 ? r : -EBADMSG;
                }
                if (!strchr(p, '\n'))
                        return -EBADMSG;
        }
        *ret = buffers;
        return 0;
}

int status_bytes(const char *status, const char *field, uint64_t *ret) {
        _cleanup_free_ char *word = strf("%s:\t", field);
        uint64_t kib, bytes;

        if (!word)
                return -ENOMEM;
        const char *p = find_line(status, word);
        if (!p)
                return -ENOENT;
        p += strspn(p, " ");
        int r = take_u64(&p, " \n", &kib);
        if (r < 0)
                return r;
        if (!startswith(p, " kB\n") || __builtin_mul_overflow(kib, 1024, &bytes))
                return -EBADMSG;
        *ret = bytes;
        return 0;
}
