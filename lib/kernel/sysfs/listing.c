/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "base/fileio.h"
#include "kernel/sysfs/listing.h"

void listing_done(Listing *l) {
        for (size_t i = 0; i < l->n; i++)
                free(l->names[i]);
        free(l->names);
        *l = (Listing) { 0 };
}

static int compare(const void *a, const void *b) {
        return strverscmp(*(char *const *) a, *(char *const *) b);
}

int listing_readf(Listing *l, const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        _cleanup_free_ char *path = strfv(format, ap);
        va_end(ap);
        if (!path)
                return -ENOMEM;

        _cleanup_(closedirp) DIR *dir = opendir(path);
        if (!dir)
                return -errno;

        for (;;) {
                errno = 0;
                const struct dirent *e = readdir(dir);
                if (!e && errno != 0)
                        return -errno;
                if (!e)
                        break;
                if (e->d_name[0] == '.')
                        continue;
                int r = strings_add(&l->names, &l->n, &l->n_allocated, e->d_name);
                if (r < 0)
                        return r;
        }

        if (l->n > 1)
                qsort(l->names, l->n, sizeof(l->names[0]), compare);
        return 0;
}
