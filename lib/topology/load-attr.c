/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the loaders have in common: names and attributes of devices that may go away or lack what others have. */
#include <errno.h>

#include "base/parse.h"
#include "kernel/attr.h"
#include "kernel/listing.h"
#include "topology/load.h"

enum {
        TRIES = 5,
};

bool is_numbered(const char *name, const char *prefix) {
        const char *number = startswith(name, prefix);
        uint64_t n;

        return number && !startswith(number, "0x") && parse_u64(number, &n) >= 0;
}

char *ancestor(const char *path, unsigned level) {
        const char *end = path + strlen(path);

        for (;; level--) {
                const char *start = end;
                while (start > path && start[-1] != '/')
                        start--;
                if (level == 0)
                        return strndup(start, (size_t) (end - start));
                if (start == path)
                        return NULL;
                end = start - 1;
        }
}

int strings_add(char ***strings, size_t *n, size_t *n_allocated, const char *s) {
        int r = vec_grow((void **) strings, *n, n_allocated, sizeof(char *));
        if (r < 0)
                return r;

        char *copy = strdup(s);
        if (!copy)
                return -ENOMEM;
        (*strings)[(*n)++] = copy;
        return 0;
}

_printf_(2, 0) static int optional_textv(char **ret, const char *format, va_list ap) {
        _cleanup_free_ char *path = strfv(format, ap), *text = NULL;
        if (!path)
                return -ENOMEM;

        int r = attr_read(path, &text);
        if (r < 0 && !is_gone(r))
                return r;
        *ret = text && *text ? TAKE_PTR(text) : NULL;
        return 0;
}

int optional_textf(char **ret, const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        int r = optional_textv(ret, format, ap);
        va_end(ap);
        return r;
}

int optional_u64f(uint64_t *ret, const char *format, ...) {
        _cleanup_free_ char *text = NULL;
        va_list ap;

        va_start(ap, format);
        int r = optional_textv(&text, format, ap);
        va_end(ap);
        if (r < 0)
                return r;
        if (!text) {
                *ret = 0;
                return 0;
        }
        return parse_u64(text, ret);
}

/* Parts of a device go before it goes itself: then it is looked at again, for as long as that lasts. */
static int add_device(Topology *t, const DeviceKind *kind, const char *name) {
        int r = 0;

        for (unsigned tries = 0; tries < TRIES; tries++) {
                r = kind->add(t, name);
                if (r != DEVICE_IS_NOTHING && !is_gone(r))
                        return r;
                kind->drop_last(t);
                if (r == DEVICE_IS_NOTHING || !path_existsf("%s/%s", kind->folder, name))
                        return 0;
        }
        return r;
}

int load_devices(Topology *t, const DeviceKind *kind) {
        _cleanup_listing_ Listing l = { 0 };

        int r = listing_readf(&l, "%s", kind->folder);
        if (r < 0)
                return r == -ENOENT ? 0 : r;
        for (size_t i = 0; i < l.n; i++) {
                r = kind->is_one(l.names[i]) ? add_device(t, kind, l.names[i]) : 0;
                if (r < 0)
                        return r;
        }
        return 0;
}
