/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "base/parse.h"
#include "kernel/sysfs/attr.h"
#include "kernel/sysfs/driver.h"
#include "topology/load/load.h"

static void memdev_done(Memdev *m) {
        free(m->name);
        free(m->bdf);
        free(m->driver);
}

static void region_done(Region *g) {
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

static void dax_done(DaxDevice *d) {
        free(d->name);
        free(d->region);
        free(d->nd_region);
        free(d->driver);
        free(d->state);
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
        memdev_done(&t->memdevs[--t->n_memdevs]);
}

void topology_drop_region(Topology *t) {
        region_done(&t->regions[--t->n_regions]);
}

void topology_drop_dax(Topology *t) {
        dax_done(&t->daxes[--t->n_daxes]);
}

static void free_pci(Topology *t) {
        for (size_t i = 0; i < t->n_slots; i++) {
                free(t->slots[i].name);
                free(t->slots[i].word);
                free(t->slots[i].address);
                free(t->slots[i].port);
                free(t->slots[i].service);
                free(t->slots[i].outer);
                free(t->slots[i].nmem);
        }
        while (t->n_functions > 0)
                topology_drop_function(t);
        for (size_t i = 0; i < t->n_foreign; i++) {
                free(t->foreign[i].bdf);
                free(t->foreign[i].region);
                free(t->foreign[i].driver);
                free(t->foreign[i].subsystem);
                free(t->foreign[i].name);
        }
        free(t->slots);
        free(t->functions);
        free(t->foreign);
}

void topology_free(Topology *t) {
        if (!t)
                return;
        free_pci(t);
        while (t->n_memdevs > 0)
                topology_drop_memdev(t);
        while (t->n_regions > 0)
                topology_drop_region(t);
        while (t->n_daxes > 0)
                topology_drop_dax(t);
        topology_drop_addresses(t);
        topology_drop_storage(t);
        free(t->memdevs);
        free(t->regions);
        free(t->daxes);
        free(t->blocks);
        free(t->nodes);
        odd_drop(t, 0);
        free(t->odd);
        free(t->left_out);
        free(t->auto_online);
        free(t);
}

int topology_load(Topology **ret) {
        static int (*const loaders[])(Topology *t) = {
                load_slots, load_functions, load_memdevs, load_regions, load_decoders, load_daxes, load_nd, load_namespaces,
                load_block_devices, load_nvme_paths, load_mappings, load_mounts, load_file_systems, load_loops, load_swaps, load_kernel_users,
                load_foreign, load_memory, load_iomem,
        };

        _cleanup_(topology_freep) Topology *t = calloc(1, sizeof(*t));
        if (!t)
                return -ENOMEM;

        for (size_t i = 0; i < ELEMENTSOF(loaders); i++) {
                int r = loaders[i](t);
                if (r >= 0)
                        r = topology_index_names(t);
                if (r < 0)
                        return r;
        }

        *ret = TAKE_PTR(t);
        return 0;
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

/* Was something missing that every device of the kind has? */
static bool lacks_something(const Topology *t, size_t first) {
        for (size_t i = first; i < t->n_odd; i++)
                if (is_gone(t->odd[i].error))
                        return true;
        return false;
}

/* Parts of a device go before it goes itself: then it is looked at again, for as long as that lasts. One that stays as it is, is odd. */
static int add_device(Topology *t, const DeviceKind *kind, const char *name) {
        size_t n_odd = t->n_odd;

        for (unsigned tries = 1;; tries++) {
                int r = kind->add(t, name);
                if (r == -ENOMEM)
                        return r;
                bool going = is_gone(r) || lacks_something(t, n_odd);
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
