/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <ctype.h>
#include <errno.h>

#include "base/fileio.h"
#include "base/span.h"
#include "kernel/memory/iomem.h"

enum {
        /* kernel/resource.c:MAX_IORES_LEVEL is 5 (levels, so 0 to 5 when printed); twice that is no resource tree. */
        DEPTH_MAX = 10,
};

void iomem_free(Iomem *m) {
        if (!m)
                return;
        for (size_t i = 0; i < m->n_ranges; i++)
                free(m->ranges[i].name);
        free(m->ranges);
        free(m);
}

/* Reads hexadecimal digits at *p up to `stop` and steps over it. */
static int take_address(const char **p, const char *end, const char *stop, uint64_t *ret) {
        uint64_t v = 0;
        size_t digits = 0;

        for (; *p < end && isxdigit((unsigned char) **p); (*p)++, digits++) {
                int c = tolower((unsigned char) **p);
                v = v << 4 | (uint64_t) (c <= '9' ? c - '0' : c - 'a' + 10);
        }
        if (digits == 0 || digits > 16)
                return -EBADMSG;

        size_t n = strlen(stop);
        if ((size_t) (end - *p) < n || strncmp(*p, stop, n) != 0)
                return -EBADMSG;
        *p += n;
        *ret = v;
        return 0;
}

/* One line is "%*s%0*llx-%0*llx : %s", two blanks for each level (kernel/resource.c:r_show). */
static int parse_line(const char *line, size_t length, IomemRange *ret) {
        const char *p = line, *end = line + length;
        IomemRange range = { 0 };

        while (p < end && *p == ' ')
                p++;
        size_t blanks = (size_t) (p - line);
        if (blanks % 2 != 0 || blanks / 2 > DEPTH_MAX)
                return -EBADMSG;
        range.depth = (unsigned) (blanks / 2);

        int r = take_address(&p, end, "-", &range.start);
        if (r < 0)
                return r;
        r = take_address(&p, end, " : ", &range.end);
        if (r < 0)
                return r;
        if (range.end < range.start)
                return -EBADMSG;

        range.name = strndup(p, (size_t) (end - p));
        if (!range.name)
                return -ENOMEM;
        *ret = range;
        return 0;
}

int iomem_parse(const char *text, Iomem **ret) {
        _cleanup_(iomem_freep) Iomem *m = calloc(1, sizeof(*m));
        bool some = false;

        if (!m)
                return -ENOMEM;
        while (*text) {
                size_t length = strcspn(text, "\n");

                int r = vec_grow((void **) &m->ranges, m->n_ranges, &m->n_allocated, sizeof(m->ranges[0]));
                if (r < 0)
                        return r;
                r = parse_line(text, length, &m->ranges[m->n_ranges]);
                if (r < 0)
                        return r;
                some = some || m->ranges[m->n_ranges].start != 0 || m->ranges[m->n_ranges].end != 0;
                m->n_ranges++;
                text += length + (text[length] == '\n');
        }

        /* No machine is without resources, so nothing at all is not an answer either. */
        if (m->n_ranges == 0)
                return -EBADMSG;
        if (!some)
                return -EPERM;

        *ret = TAKE_PTR(m);
        return 0;
}

int iomem_load(Iomem **ret) {
        _cleanup_free_ char *text = NULL;
        size_t n = 0;

        int r = read_file("/proc/iomem", &text, &n);
        if (r < 0)
                return r;
        return strlen(text) == n ? iomem_parse(text, ret) : -EBADMSG;
}

/* A host bridge decodes "PCI Bus dddd:bb" (drivers/acpi/pci_root.c); "CXL Window" comes from the firmware's CFMWS (drivers/cxl/acpi.c);
 * "Soft Reserved" and "Reserved" are the firmware's marks, which many kernels keep when the region goes; so is "Persistent Memory" at the
 * top, where no card's region made it (arch/x86/kernel/e820.c). Whatever uses such a range is a line of its own below it. */
bool iomem_is_window(const IomemRange *range) {
        static const char *const prefixes[] = { "CXL Window ", "PCI Bus ", "Soft Reserved" };

        for (size_t i = 0; i < ELEMENTSOF(prefixes); i++)
                if (startswith(range->name, prefixes[i]))
                        return true;
        return streq(range->name, "Reserved") || (range->depth == 0 && startswith(range->name, "Persistent Memory"));
}

const IomemRange *iomem_find_leftover(const Iomem *m, uint64_t start, uint64_t size) {
        for (size_t i = 0; i < m->n_ranges; i++) {
                const IomemRange *range = &m->ranges[i];
                if (span_overlaps(start, size, range->start, span_size(range->start, range->end)) && !iomem_is_window(range))
                        return range;
        }
        return NULL;
}

/* "System RAM", "System RAM (kmem)", "System RAM (virtio_mem)" (mm/memory_hotplug.c:register_memory_resource). */
const IomemRange *iomem_find_system_ram(const Iomem *m, uint64_t start, uint64_t size, const IomemRange *after) {
        for (size_t i = after ? (size_t) (after - m->ranges) + 1 : 0; i < m->n_ranges; i++) {
                const IomemRange *range = &m->ranges[i];
                if (startswith(range->name, "System RAM") &&
                    span_overlaps(start, size, range->start, span_size(range->start, range->end)))
                        return range;
        }
        return NULL;
}
