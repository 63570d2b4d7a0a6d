/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "base/fileio.h"
#include "base/parse.h"
#include "kernel/pci/pci-resource.h"

/* include/linux/ioport.h */
enum {
        FLAG_MEMORY = 0x00000200,
        FLAG_DISABLED = 0x10000000,
        FLAG_UNSET = 0x20000000,        /* no address has been given to it (yet) */
};

static int take_number(char **rest, uint64_t *ret) {
        char *word = strsep(rest, " ");

        return word && startswith(word, "0x") && parse_u64(word, ret) >= 0 ? 0 : -EBADMSG;
}

/* 1: a range of memory. 0: something else, or nothing. */
static int parse_line(char *line, PciResource *ret) {
        uint64_t end, flags;

        int r = take_number(&line, &ret->start);
        if (r >= 0)
                r = take_number(&line, &end);
        if (r >= 0)
                r = take_number(&line, &flags);
        if (r < 0 || line)
                return -EBADMSG;
        if (!(flags & FLAG_MEMORY) || flags & (FLAG_DISABLED | FLAG_UNSET) || ret->start == 0)
                return 0;
        if (end < ret->start)
                return -EBADMSG;
        ret->size = end - ret->start + 1;
        return 1;
}

int pci_resource_parse(const char *text, PciResource **ret, size_t *ret_n) {
        _cleanup_free_ char *copy = strdup(text);
        _cleanup_free_ PciResource *resources = NULL;
        size_t n = 0, allocated = 0;
        unsigned index = 0;

        if (!copy)
                return -ENOMEM;
        char *rest = copy;
        for (char *line; (line = strsep(&rest, "\n")) && *line; index++) {
                PciResource resource = { .index = index };

                int r = parse_line(line, &resource);
                if (r == 0)
                        continue;
                if (r > 0)
                        r = vec_grow((void **) &resources, n, &allocated, sizeof(*resources));
                if (r < 0)
                        return r;
                resources[n++] = resource;
        }
        *ret = TAKE_PTR(resources);
        *ret_n = n;
        return 0;
}

int pci_resource_read(const char *bdf, PciResource **ret, size_t *ret_n) {
        _cleanup_free_ char *path = strf("/sys/bus/pci/devices/%s/resource", bdf), *text = NULL;
        size_t n = 0;

        int r = path ? read_file(path, &text, &n) : -ENOMEM;
        if (r < 0)
                return r;
        return strlen(text) == n ? pci_resource_parse(text, ret, ret_n) : -EBADMSG;
}
