/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "base/parse.h"
#include "kernel/cxl/card-serial.h"
#include "kernel/sysfs/attr.h"
#include "kernel/sysfs/listing.h"

int nvme_serial(const char *bdf, char **ret) {
        _cleanup_listing_ Listing l = { 0 };
        _cleanup_free_ char *text = NULL;

        int r = listing_readf(&l, "/sys/bus/pci/devices/%s/nvme", bdf);
        if (r < 0)
                return r;
        if (l.n == 0)
                return -ENOENT;
        r = attr_readf(&text, "/sys/bus/pci/devices/%s/nvme/%s/serial", bdf, l.names[0]);
        if (r < 0)
                return r;

        /* The field has a fixed length and is filled with blanks. */
        size_t n = strlen(text);
        while (n > 0 && text[n - 1] == ' ')
                text[--n] = '\0';
        /* Nothing but zeros is what makers leave where they give no number. */
        if (strspn(text, "0") == n)
                return -ENOENT;
        *ret = TAKE_PTR(text);
        return 0;
}

int memdev_serial(const char *bdf, char **ret) {
        _cleanup_listing_ Listing l = { 0 };

        int r = listing_readf(&l, "/sys/bus/pci/devices/%s", bdf);
        for (size_t i = 0; r >= 0 && i < l.n; i++) {
                const char *number = startswith(l.names[i], "mem");
                if (number && *number && number[strspn(number, "0123456789")] == '\0')
                        return attr_readf(ret, "/sys/bus/pci/devices/%s/%s/serial", bdf, l.names[i]);
        }
        return r < 0 ? r : -ENOENT;
}

/* What the look at the machine takes for it (lib/topology/load/load-nd.c). */
int nmem_id(const char *nmem, char **ret) {
        _cleanup_free_ char *text = NULL;
        uint64_t serial;

        if (attr_readf(&text, "/sys/bus/nd/devices/%s/cxl/id", nmem) >= 0 && parse_u64(text, &serial) >= 0) {
                *ret = strf("0x%jx", (uintmax_t) serial);
                return *ret ? 0 : -ENOMEM;
        }
        int r = attr_readf(ret, "/sys/bus/nd/devices/%s/nfit/id", nmem);
        return r == -ENOENT ? attr_readf(ret, "/sys/bus/nd/devices/%s/nfit/serial", nmem) : r;
}
