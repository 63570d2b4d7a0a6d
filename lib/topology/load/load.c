/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "base/parse.h"
#include "kernel/sysfs/attr.h"
#include "kernel/sysfs/driver.h"
#include "topology/load/load.h"

static void free_strings(char **strings, size_t n) {
        for (size_t i = 0; i < n; i++)
                free(strings[i]);
        free(strings);
}

void topology_drop_nmem(Topology *t) {
        Nmem *n = &t->nmems[--t->n_nmems];

        free(n->name);
        free(n->bus);
        free(n->memdev);
        free(n->id);
}

void topology_drop_nd_region(Topology *t) {
        NdRegion *g = &t->nd_regions[--t->n_nd_regions];

        free(g->name);
        free(g->bus);
        free(g->cxl_region);
        free(g->driver);
        free_strings(g->nmems, g->n_nmems);
}

void topology_drop_namespace(Topology *t) {
        Namespace *n = &t->namespaces[--t->n_namespaces];

        free(n->name);
        free(n->nd_region);
        free(n->mode);
        free(n->uuid);
        free(n->device);
        free(n->driver);
        free(n->block);
        free(n->dax);
}

void topology_drop_block_device(Topology *t) {
        BlockDevice *b = &t->block_devices[--t->n_block_devices];

        free(b->name);
        free(b->bdf);
        free(b->disk);
        free(b->label);
        free(b->uuid);
        free_strings(b->lower, b->n_lower);
        md_array_free(b->array);
        free_strings(b->targets, b->n_targets);
        free(b->trouble);
}

void topology_drop_file_system(Topology *t) {
        FileSystem *fs = &t->file_systems[--t->n_file_systems];

        free(fs->type);
        free_strings(fs->devices, fs->n_devices);
        free(fs->layers);
}

/* What a look could not read or not understand. It costs what it is about and nothing else: the look goes on, and a plan asks
 * whether the card could be meant (lib/plan/find/find-odd.c). */

/* How much of a path is the link of its device: "/sys/bus/cxl/devices/mem0/serial", "/sys/class/block/sda/dev". 0 for others. */
static size_t device_link_length(const char *path) {
        static const char *const shapes[][2] = { { "/sys/bus/", "/devices/" }, { "/sys/class/", "/" } };

        for (size_t i = 0; i < ELEMENTSOF(shapes); i++) {
                const char *bus = startswith(path, shapes[i][0]), *name = bus ? strstr(bus, shapes[i][1]) : NULL;
                if (!name)
                        continue;
                name += strlen(shapes[i][1]);
                size_t n = strcspn(name, "/");
                return n > 0 ? (size_t) (name + n - path) : 0;
        }
        return 0;
}

int odd_add(Topology *t, int error, const char *path) {
        if (error == -ENOMEM)
                return error;
        int r = vec_grow((void **) &t->odd, t->n_odd, &t->a_odd, sizeof(t->odd[0]));
        if (r < 0)
                return r;

        Odd *o = &t->odd[t->n_odd];
        size_t n = device_link_length(path);
        *o = (Odd) { .path = strdup(path), .error = error };
        if (!o->path)
                return -ENOMEM;
        t->n_odd++;
        r = n > 0 ? link_readf(&o->where, "%.*s", (int) n, path) : 0;
        return r == -ENOMEM ? r : 0;
}

int odd_addf(Topology *t, int error, const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        _cleanup_free_ char *path = strfv(format, ap);
        va_end(ap);
        return path ? odd_add(t, error, path) : -ENOMEM;
}

void odd_drop(Topology *t, size_t n) {
        while (t->n_odd > n) {
                Odd *o = &t->odd[--t->n_odd];
                free(o->path);
                free(o->where);
        }
}

static const char *const block_kind_table[_BLOCK_KIND_MAX] = {
        [BLOCK_DISK] = "disk",
        [BLOCK_PARTITION] = "partition",
        [BLOCK_DM] = "dm",
        [BLOCK_MD] = "md",
        [BLOCK_LOOP] = "loop",
};

DEFINE_STRING_TABLE(block_kind, BlockKind)

void topology_drop_function(Topology *t) {
        PciFunction *f = &t->functions[--t->n_functions];

        free(f->bdf);
        free(f->slot);
        free(f->driver);
        free(f->serial);
        free(f->path);
        free(f->resources);
}

void topology_drop_memdev(Topology *t) {
        Memdev *m = &t->memdevs[--t->n_memdevs];

        free(m->name);
        free(m->bdf);
        free(m->driver);
}

void topology_drop_region(Topology *t) {
        Region *g = &t->regions[--t->n_regions];

        for (size_t i = 0; i < g->n_targets; i++) {
                free(g->targets[i].decoder);
                free(g->targets[i].memdev);
                free(g->targets[i].mode);
        }
        free(g->targets);
        free(g->name);
        free(g->root_decoder);
        free(g->driver);
        free(g->mode);
        free(g->uuid);
}

void topology_drop_dax(Topology *t) {
        DaxDevice *d = &t->daxes[--t->n_daxes];

        free(d->ranges);
        free(d->memmap_on_memory);
        free(d->name);
        free(d->region);
        free(d->nd_region);
        free(d->driver);
        free(d->state);
}

/* What the loaders have in common: names and attributes of devices that may go away or lack what others have. */

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

/* *ret_path is given in any case, for what may be noted about it. */
_printf_(3, 0) static int read_textv(char **ret, char **ret_path, const char *format, va_list ap) {
        *ret = NULL;
        *ret_path = strfv(format, ap);
        return *ret_path ? attr_read(*ret_path, ret) : -ENOMEM;
}

int optional_textf(Topology *t, char **ret, const char *format, ...) {
        _cleanup_free_ char *path = NULL, *text = NULL;
        va_list ap;

        va_start(ap, format);
        int r = read_textv(&text, &path, format, ap);
        va_end(ap);
        *ret = text && *text ? TAKE_PTR(text) : NULL;
        return r >= 0 || is_gone(r) ? 0 : odd_add(t, r, path);
}

/* 0 or -ENOMEM; what a missing one is depends on who asks. */
static int take_number(Topology *t, int r, const char *text, const char *path, bool optional, uint64_t *ret) {
        *ret = 0;
        if (r >= 0)
                r = parse_u64(text, ret);
        return r >= 0 || (optional && is_gone(r)) ? 0 : odd_add(t, r, path);
}

int optional_u64f(Topology *t, uint64_t *ret, const char *format, ...) {
        _cleanup_free_ char *path = NULL, *text = NULL;
        va_list ap;

        va_start(ap, format);
        int r = read_textv(&text, &path, format, ap);
        va_end(ap);
        return take_number(t, r, text, path, true, ret);
}

int required_u64f(Topology *t, uint64_t *ret, const char *format, ...) {
        _cleanup_free_ char *path = NULL, *text = NULL;
        va_list ap;

        va_start(ap, format);
        int r = read_textv(&text, &path, format, ap);
        va_end(ap);
        return take_number(t, r, text, path, false, ret);
}

int device_linkf(Topology *t, char **ret, const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        _cleanup_free_ char *path = strfv(format, ap);
        va_end(ap);

        *ret = NULL;
        int r = path ? link_readf(ret, "%s", path) : -ENOMEM;
        return r >= 0 || is_gone(r) ? r : odd_add(t, r, path);
}

int device_driver(Topology *t, const char *bus, const char *device, char **ret) {
        *ret = NULL;
        int r = driver_of(bus, device, ret);
        return r >= 0 || is_gone(r) ? r : odd_addf(t, r, "/sys/bus/%s/devices/%s/driver", bus, device);
}

int device_listing(Topology *t, Listing *l, const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        _cleanup_free_ char *path = strfv(format, ap);
        va_end(ap);

        int r = path ? listing_readf(l, "%s", path) : -ENOMEM;
        return r >= 0 || is_gone(r) ? 0 : odd_add(t, r, path);
}

int device_parent(Topology *t, const char *bus, const char *device, char **ret) {
        _cleanup_free_ char *path = NULL;

        *ret = NULL;
        int r = device_linkf(t, &path, "/sys/bus/%s/devices/%s", bus, device);
        if (r < 0)
                return r;
        char *parent = path ? ancestor(path, 1) : NULL;
        *ret = parent ?: strdup("");
        return *ret ? 0 : -ENOMEM;
}

/* Parts of a device go before it goes itself: then it is looked at again, for as long as that lasts. One that stays as it is, is odd. */
static int add_device(Topology *t, const DeviceKind *kind, const char *name) {
        size_t n_odd = t->n_odd;

        for (unsigned tries = 1;; tries++) {
                int r = kind->add(t, name);
                if (r == -ENOMEM)
                        return r;
                bool going = is_gone(r);
                /* Or was something missing that every device of the kind has? */
                for (size_t i = n_odd; i < t->n_odd && !going; i++)
                        going = is_gone(t->odd[i].error);
                bool nothing = r == DEVICE_IS_NOTHING || (going && !path_existsf("%s/%s", kind->folder, name));
                if (!nothing && (!going || tries == TRIES))
                        return r < 0 ? odd_addf(t, r, "%s/%s", kind->folder, name) : 0;
                kind->drop_last(t);
                odd_drop(t, n_odd);
                if (nothing)
                        return 0;
        }
}

int load_devices(Topology *t, const DeviceKind *kind) {
        _cleanup_listing_ Listing l = { 0 };

        int r = device_listing(t, &l, "%s", kind->folder);
        for (size_t i = 0; i < l.n && r >= 0; i++)
                r = kind->is_one(l.names[i]) ? add_device(t, kind, l.names[i]) : 0;
        return r;
}
