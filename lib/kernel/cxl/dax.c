/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* libdaxctl waits for nobody but the kernel: it reads the folder and what is in it. It leaves out a device of which the size or the node in /dev is missing,
 * ends a list of ranges at the first that it cannot read, and has -1 or 0 for an address or a node that it could not read: whoever asks
 * has to hold what it says against the folder, and reads himself what has to be right for its own sake. */
#include <daxctl/libdaxctl.h>
#include <errno.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fileio.h"
#include "base/parse.h"
#include "kernel/cxl/dax.h"
#include "kernel/sysfs/attr.h"
#include "kernel/sysfs/fence.h"
#include "kernel/sysfs/listing.h"

#define RANGE_USEC (2 * USEC_PER_SEC)

#ifdef __SANITIZE_ADDRESS__
/* It never frees the ranges that it has given (48 bytes each, in a process that lives for one look or removal). */
const char *__lsan_default_suppressions(void), *__lsan_default_options(void);

const char *__lsan_default_suppressions(void) {
        return "leak:libdaxctl";
}

const char *__lsan_default_options(void) {
        return "print_suppressions=0";
}
#endif

static void ctx_unrefp(struct daxctl_ctx **ctx) {
        daxctl_unref(*ctx);
}

void dax_list_done(DaxList *l) {
        for (size_t i = 0; i < l->n; i++) {
                free(l->items[i].name);
                free(l->items[i].ranges);
        }
        free(l->items);
        *l = (DaxList) { 0 };
}

/* What it leaves out is found by the folder (dax_list_find()), and to standard error nothing goes that is not ours. */
static _printf_(6, 0) void no_log(struct daxctl_ctx *ctx, int priority, const char *file, int line, const char *function, const char *format,
                                  va_list ap) {
}

/* A range, with its place within the device in pages. */
typedef struct Placed {
        uint64_t offset, start, last;
} Placed;

/* What was said of a device, as it was said. */
typedef struct Told {
        const char *name;       /* borrowed */
        uint64_t start, size, align, region_align;
        Placed *ranges;
        size_t n_ranges, allocated;
        bool is_other;          /* than what the folder says */
} Told;

static void told_done(Told *t) {
        free(t->ranges);
}

static int told_range(Told *t, Placed range) {
        int r = vec_grow((void **) &t->ranges, t->n_ranges, &t->allocated, sizeof(*t->ranges));

        if (r >= 0)
                t->ranges[t->n_ranges++] = range;
        return r;
}

static int by_offset(const void *a, const void *b) {
        const Placed *x = a, *y = b;

        return x->offset < y->offset ? -1 : x->offset > y->offset;
}

static void sort_ranges(Told *t) {
        if (t->n_ranges > 0)
                qsort(t->ranges, t->n_ranges, sizeof(*t->ranges), by_offset);
}

/* Each begins where the one before it ends, and together they are the device. The library ends its list at the first range that it cannot
 * read, and takes an attribute that is no number for 0. */
static bool ranges_fit(const Told *t) {
        uint64_t page = (uint64_t) sysconf(_SC_PAGESIZE), sum = 0;

        for (size_t i = 0; i < t->n_ranges; i++) {
                const Placed *p = &t->ranges[i];
                uint64_t length;
                if (p->start == 0 || p->last < p->start || p->offset != sum / page || __builtin_add_overflow(p->last - p->start, 1, &length) ||
                    __builtin_add_overflow(sum, length, &sum))
                        return false;
        }
        return sum == t->size;
}

static bool has_ranges(const char *name) {
        return path_existsf(DAX_DEVICES "/%s/mapping1", name);
}

static int add_device(DaxList *l, Told *t) {
        uint64_t region = t->region_align, last;
        int r = 0;

        /* Without a second one (mapping1, drivers/dax/bus.c:devm_register_dax_mapping) the device is what its address and size say. */
        if (t->n_ranges == 0 && t->size > 0 && !has_ranges(t->name) && !__builtin_add_overflow(t->start, t->size - 1, &last))
                r = told_range(t, (Placed) { 0, t->start, last });
        if (r >= 0)
                r = vec_grow((void **) &l->items, l->n, &l->allocated, sizeof(*l->items));
        if (r < 0)
                return r;
        sort_ranges(t);

        /* 0 and all ones, and what is no power of 2: it could not be read. */
        uint64_t align = t->align == region || region & (region - 1) || region == 0 ? 0 : t->align;
        DaxSeen *d = &l->items[l->n++];
        *d = (DaxSeen) { .name = strdup(t->name), .size = t->size, .align = align, .unread = t->is_other || !ranges_fit(t),
                         .ranges = calloc(t->n_ranges + 1, sizeof(*d->ranges)) };
        if (!d->name || !d->ranges)
                return -ENOMEM;
        for (size_t i = 0; i < t->n_ranges && !d->unread; i++)
                d->ranges[d->n_ranges++] = (DaxRange) { t->ranges[i].start, t->ranges[i].last - t->ranges[i].start + 1 };
        return 0;
}

static int read_in_time(const Told *t, const char *attribute, uint64_t *ret) {
        _cleanup_free_ char *path = strf(DAX_DEVICES "/%s/mapping%zu/%s", t->name, t->n_ranges, attribute), *text = NULL;

        int r = path ? attr_read_within(path, RANGE_USEC, &text) : -ENOMEM;
        return r < 0 ? r : parse_u64(text, ret);
}

/* What the folder itself says of a device of this name. A range is shown under the lock of all dax regions (drivers/dax/bus.c:get_dax_range), which
 * a device that hangs on its way in keeps: of a device that has only one, its address and size say the same, and nobody asks. */
static int read_folder(Told *t) {
        int r = attr_read_u64f(&t->start, DAX_DEVICES "/%s/resource", t->name);

        if (r >= 0)
                r = attr_read_u64f(&t->size, DAX_DEVICES "/%s/size", t->name);
        while (r == 0 && has_ranges(t->name) && path_existsf(DAX_DEVICES "/%s/mapping%zu", t->name, t->n_ranges)) {
                Placed p;

                r = read_in_time(t, "page_offset", &p.offset);
                if (r >= 0)
                        r = read_in_time(t, "start", &p.start);
                if (r >= 0)
                        r = read_in_time(t, "end", &p.last);
                if (r >= 0)
                        r = told_range(t, p);
        }
        return r < 0 ? r : 0;
}

/* Nobody else reads the ranges: what the library says of them is held against what we read, here. It is asked only for what could be read. */
static int hold_against_folder(Told *t, struct daxctl_dev *dev) {
        _cleanup_(told_done) Told own = { .name = t->name };
        struct daxctl_mapping *mapping;

        int r = read_folder(&own);
        t->is_other = r < 0 || own.size != t->size || (own.size > 0 && own.start != t->start);
        if (r == -ENOMEM || t->is_other || !has_ranges(t->name))
                return r == -ENOMEM ? r : 0;
        daxctl_mapping_foreach(dev, mapping) {
                r = told_range(t, (Placed) { daxctl_mapping_get_offset(mapping), daxctl_mapping_get_start(mapping), daxctl_mapping_get_end(mapping) });
                if (r < 0)
                        return r;
        }
        sort_ranges(t);
        sort_ranges(&own);
        t->is_other = own.n_ranges != t->n_ranges;
        for (size_t i = 0; i < t->n_ranges && !t->is_other; i++)
                t->is_other = own.ranges[i].offset != t->ranges[i].offset || own.ranges[i].start != t->ranges[i].start ||
                              own.ranges[i].last != t->ranges[i].last;
        return 0;
}

static int read_library(DaxList *l) {
        _cleanup_(ctx_unrefp) struct daxctl_ctx *ctx = NULL;
        struct daxctl_region *region;

        int r = daxctl_new(&ctx);
        if (r < 0)
                return r;
        daxctl_set_log_fn(ctx, no_log);
        daxctl_region_foreach(ctx, region) {
                struct daxctl_dev *dev;
                daxctl_dev_foreach(region, dev) {
                        _cleanup_(told_done) Told t = {
                                .name = daxctl_dev_get_devname(dev), .start = daxctl_dev_get_resource(dev), .size = daxctl_dev_get_size(dev),
                                .align = daxctl_dev_get_align(dev), .region_align = daxctl_region_get_align(daxctl_dev_get_region(dev)),
                        };
                        if (r >= 0)
                                r = hold_against_folder(&t, dev);
                        if (r >= 0)
                                r = add_device(l, &t);
                }
        }
        return r;
}

/* The library sees none of which we have hidden the node (sysfs/fence.h). */
static int read_hidden(DaxList *l) {
        _cleanup_listing_ Listing names = { 0 };

        int r = listing_readf(&names, DAX_DEVICES);
        if (r < 0)
                return r == -ENOMEM ? r : 0;
        for (size_t i = 0; i < names.n && r >= 0; i++) {
                _cleanup_free_ char *node = strf("/dev/%s", names.names[i]);
                _cleanup_(told_done) Told t = { .name = names.names[i] };

                if (!node || dax_list_find(l, t.name) || !fence_exists(node))
                        continue;
                r = read_folder(&t);
                if (r >= 0)
                        r = attr_read_u64f(&t.align, DAX_DEVICES "/%s/align", t.name);
                if (r >= 0)
                        r = attr_read_u64f(&t.region_align, DAX_DEVICES "/%s/../dax_region/align", t.name);
                /* What cannot be read stays left out. */
                r = r >= 0 ? add_device(l, &t) : r == -ENOMEM ? r : 0;
        }
        return r;
}

int dax_list_read(DaxList *ret) {
        _cleanup_(dax_list_done) DaxList l = { 0 };

        int r = read_library(&l);
        if (r >= 0)
                r = read_hidden(&l);
        if (r < 0)
                return r;
        *ret = l;
        l = (DaxList) { 0 };
        return 0;
}

const DaxSeen *dax_list_find(const DaxList *l, const char *name) {
        for (size_t i = 0; i < l->n; i++)
                if (streq(l->items[i].name, name))
                        return &l->items[i];
        return NULL;
}

/* Does it begin there? One without memory begins nowhere: a seed says where its region begins (drivers/dax/bus.c:resource_show). */
static int begins_at(const char *name, uint64_t start) {
        uint64_t at, size;

        int r = attr_read_u64f(&at, DAX_DEVICES "/%s/resource", name);
        if (r < 0 || at != start)
                return r;
        r = attr_read_u64f(&size, DAX_DEVICES "/%s/size", name);
        return r < 0 ? r : size > 0;
}

int dax_find(uint64_t start, char **ret) {
        _cleanup_(closedirp) DIR *d = opendir(DAX_DEVICES);
        int error = -ENODEV;

        if (!d)
                return errno == ENOENT ? -ENODEV : -errno;
        for (struct dirent *e; (e = readdir(d));) {
                if (e->d_name[0] == '.')
                        continue;
                int r = begins_at(e->d_name, start);
                if (r == 0 || r == -ENOENT || r == -ENODEV || r == -ENXIO)
                        continue;
                if (r < 0) {
                        error = r;      /* it may have been this one */
                        continue;
                }
                char *name = strdup(e->d_name);
                if (!name)
                        return -ENOMEM;
                *ret = name;
                return 0;
        }
        return error;
}

bool dax_has_number(dev_t chardev) {
        _cleanup_free_ char *subsystem = NULL;

        return link_namef(&subsystem, "/sys/dev/char/%u:%u/subsystem", major(chardev), minor(chardev)) >= 0 && streq(subsystem, "dax");
}
