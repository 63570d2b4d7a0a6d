/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Following the names. A machine may have thousands of what names are of, and each look asks for each of them again: whatever is found by a
 * name or a number is found in a sorted array, once its loader is through. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/span.h"
#include "kernel/sysfs/known-drivers.h"
#include "topology/topology.h"

/* What something is found by: a name, or a number that is not 0; neither: it is not found. */
typedef struct Key {
        const char *name;
        uint64_t number;
} Key;

/* An array of the topology. */
typedef struct Items {
        const char *first;
        size_t n, size;
} Items;

#define FINDER(finder, array, type, ...)                                                                        \
        static Items items_of_##finder(const Topology *t) {                                                     \
                return (Items) { (const char *) t->array, t->n_##array, sizeof(type) };                         \
        }                                                                                                       \
        static Key key_of_##finder(const void *item) {                                                          \
                const type *i = item;                                                                           \
                return (Key) { __VA_ARGS__ };                                                                   \
        }

FINDER(slot, slots, Slot, .name = i->name)
FINDER(port, slots, Slot, .name = i->port)
FINDER(function, functions, PciFunction, .name = i->bdf)
FINDER(memdev, memdevs, Memdev, .name = i->name)
FINDER(region, regions, Region, .name = i->name)
FINDER(dax, daxes, DaxDevice, .name = i->name)
FINDER(node, nodes, Node, .number = (uint64_t) i->id + 1)
FINDER(nmem, nmems, Nmem, .name = i->name)
FINDER(nd_region, nd_regions, NdRegion, .name = i->name)
FINDER(namespace, namespaces, Namespace, .name = i->name)
FINDER(block, block_devices, BlockDevice, .name = i->name)
FINDER(block_number, block_devices, BlockDevice, .number = i->dev)
FINDER(mapping, block_devices, BlockDevice, .name = i->kind == BLOCK_DM ? i->label : NULL)
FINDER(file_system, file_systems, FileSystem, .number = i->dev)

typedef enum Finder {
        BY_SLOT,
        BY_PORT,
        BY_FUNCTION,
        BY_MEMDEV,
        BY_REGION,
        BY_DAX,
        BY_NODE,
        BY_NMEM,
        BY_ND_REGION,
        BY_NAMESPACE,
        BY_BLOCK,
        BY_BLOCK_NUMBER,
        BY_MAPPING,
        BY_FILE_SYSTEM,
        _FINDER_MAX,
} Finder;

typedef Key (*key_of_t)(const void *item);

#define FINDS(finder) { items_of_##finder, key_of_##finder }

static const struct {
        Items (*items)(const Topology *t);
        key_of_t key;
} finders[_FINDER_MAX] = {
        [BY_SLOT] = FINDS(slot),
        [BY_PORT] = FINDS(port),
        [BY_FUNCTION] = FINDS(function),
        [BY_MEMDEV] = FINDS(memdev),
        [BY_REGION] = FINDS(region),
        [BY_DAX] = FINDS(dax),
        [BY_NODE] = FINDS(node),
        [BY_NMEM] = FINDS(nmem),
        [BY_ND_REGION] = FINDS(nd_region),
        [BY_NAMESPACE] = FINDS(namespace),
        [BY_BLOCK] = FINDS(block),
        [BY_BLOCK_NUMBER] = FINDS(block_number),
        [BY_MAPPING] = FINDS(mapping),
        [BY_FILE_SYSTEM] = FINDS(file_system),
};

/* Of each finder its items in the order of their keys, those of one key in the order of the array. */
struct NameIndex {
        struct {
                const void **sorted;
                Items of;       /* what was sorted: another array, or a longer one, was not */
        } by[_FINDER_MAX];
};

static int compare_keys(const Key *x, const Key *y) {
        if (x->number != y->number)
                return x->number < y->number ? -1 : 1;
        return x->name && y->name ? strcmp(x->name, y->name) : (x->name != NULL) - (y->name != NULL);
}

/* qsort_r() */
static int compare_items(const void *a, const void *b, void *key) {
        const char *x = *(const char *const *) a, *y = *(const char *const *) b;
        Key of_x = (*(key_of_t *) key)(x), of_y = (*(key_of_t *) key)(y);
        int c = compare_keys(&of_x, &of_y);

        return c != 0 ? c : x < y ? -1 : x > y;
}

static bool is_sorted(const Topology *t, Finder by) {
        const Items now = finders[by].items(t), *then = t->names ? &t->names->by[by].of : NULL;

        return then && then->first == now.first && then->n == now.n;
}

static int sort(Topology *t, Finder by) {
        const Items items = finders[by].items(t);
        const void **sorted = calloc(items.n + 1, sizeof(void *));
        key_of_t key = finders[by].key;

        if (!sorted)
                return -ENOMEM;
        for (size_t i = 0; i < items.n; i++)
                sorted[i] = items.first + i * items.size;
        qsort_r(sorted, items.n, sizeof(void *), compare_items, &key);
        free(t->names->by[by].sorted);
        t->names->by[by].sorted = sorted;
        t->names->by[by].of = items;
        return 0;
}

int topology_index_names(Topology *t) {
        int r = 0;

        t->names = t->names ?: calloc(1, sizeof(*t->names));
        if (!t->names)
                return -ENOMEM;
        for (Finder by = 0; by < _FINDER_MAX && r >= 0; by++)
                r = is_sorted(t, by) ? 0 : sort(t, by);
        return r;
}

void topology_drop_names(Topology *t) {
        for (Finder by = 0; t->names && by < _FINDER_MAX; by++)
                free(t->names->by[by].sorted);
        free(TAKE_PTR(t->names));
}

static const void *find_in_all(const Topology *t, Finder by, const Key *wanted) {
        const Items items = finders[by].items(t);

        for (size_t i = 0; i < items.n; i++) {
                Key key = finders[by].key(items.first + i * items.size);
                if (compare_keys(&key, wanted) == 0)
                        return items.first + i * items.size;
        }
        return NULL;
}

/* The first of the array that has this key, or NULL. */
static const void *find(const Topology *t, Finder by, Key wanted) {
        if (!wanted.name && wanted.number == 0)
                return NULL;
        /* While its loader is still at it. */
        if (!is_sorted(t, by))
                return find_in_all(t, by, &wanted);

        const void *const *sorted = t->names->by[by].sorted;
        size_t first = 0, n = t->names->by[by].of.n;
        for (size_t end = n; first < end;) {
                size_t middle = first + (end - first) / 2;
                Key key = finders[by].key(sorted[middle]);
                if (compare_keys(&key, &wanted) < 0)
                        first = middle + 1;
                else
                        end = middle;
        }
        Key key = first < n ? finders[by].key(sorted[first]) : (Key) { 0 };
        return first < n && compare_keys(&key, &wanted) == 0 ? sorted[first] : NULL;
}

static const void *find_name(const Topology *t, Finder by, const char *name) {
        return find(t, by, (Key) { .name = name });
}

const Slot *topology_slot(const Topology *t, const char *name) {
        return find_name(t, BY_SLOT, name);
}

const Slot *topology_slot_of_port(const Topology *t, const char *port) {
        return find_name(t, BY_PORT, port);
}

bool topology_slot_is_within(const Topology *t, const char *slot, const Slot *outer) {
        const Slot *s = topology_slot(t, slot);

        for (size_t depth = 0; s && depth <= t->n_slots; depth++) {
                if (s == outer)
                        return true;
                s = topology_slot(t, s->outer);
        }
        return false;
}

const PciFunction *topology_function(const Topology *t, const char *bdf) {
        return find_name(t, BY_FUNCTION, bdf);
}

const Slot *topology_slot_of_function(const Topology *t, const char *bdf) {
        const PciFunction *f = topology_function(t, bdf);

        return f ? topology_slot(t, f->slot) : NULL;
}

const Memdev *topology_memdev(const Topology *t, const char *name) {
        return find_name(t, BY_MEMDEV, name);
}

const Region *topology_region(const Topology *t, const char *name) {
        return find_name(t, BY_REGION, name);
}

const DaxDevice *topology_dax(const Topology *t, const char *name) {
        return find_name(t, BY_DAX, name);
}

const Node *topology_node(const Topology *t, int id) {
        return find(t, BY_NODE, (Key) { .number = (uint64_t) id + 1 });
}

bool dax_has_span(const DaxDevice *d, uint64_t start, uint64_t size) {
        for (size_t i = 0; i < d->n_ranges; i++)
                if (span_within(start, size, d->ranges[i].start, d->ranges[i].size))
                        return true;
        return false;
}

bool dax_overlaps(const DaxDevice *d, uint64_t start, uint64_t size) {
        for (size_t i = 0; i < d->n_ranges; i++)
                if (span_overlaps(start, size, d->ranges[i].start, d->ranges[i].size))
                        return true;
        return false;
}

bool region_uses_memdev(const Region *r, const char *memdev) {
        for (size_t i = 0; memdev && i < r->n_targets; i++)
                if (streq_ptr(r->targets[i].memdev, memdev))
                        return true;
        return false;
}

const Nmem *topology_nmem(const Topology *t, const char *name) {
        return find_name(t, BY_NMEM, name);
}

const NdRegion *topology_nd_region(const Topology *t, const char *name) {
        return find_name(t, BY_ND_REGION, name);
}

const Namespace *topology_namespace(const Topology *t, const char *name) {
        return find_name(t, BY_NAMESPACE, name);
}

const BlockDevice *topology_block_device(const Topology *t, const char *name) {
        return find_name(t, BY_BLOCK, name);
}

const BlockDevice *topology_block_device_at(const Topology *t, dev_t dev) {
        return find(t, BY_BLOCK_NUMBER, (Key) { .number = dev });
}

const BlockDevice *topology_mapping(const Topology *t, const char *label) {
        return find_name(t, BY_MAPPING, label);
}

const FileSystem *topology_file_system(const Topology *t, dev_t dev) {
        return find(t, BY_FILE_SYSTEM, (Key) { .number = dev });
}

bool nd_region_uses_nmem(const NdRegion *r, const char *nmem) {
        for (size_t i = 0; nmem && i < r->n_nmems; i++)
                if (streq(r->nmems[i], nmem))
                        return true;
        return false;
}

/* From paths to what they lead to. */

uint64_t topology_host_ns(const Topology *t) {
        for (size_t i = 0; i < t->n_mounts; i++)
                if (t->mounts[i].pid == 1)
                        return t->mounts[i].ns;
        return 0;
}

/* devtmpfs has "/" where sysfs, which cannot, has "!" ("cciss!c0d0"). */
static const BlockDevice *block_of_node(const Topology *t, const char *node) {
        const char *mapped = startswith(node, "mapper/");
        char name[NAME_MAX + 1];
        size_t n = strlen(node);

        if (mapped)
                return topology_mapping(t, mapped);
        if (n >= sizeof(name))
                return NULL;
        for (size_t i = 0; i <= n; i++)
                name[i] = node[i] == '/' ? '!' : node[i];
        return topology_block_device(t, name);
}

const BlockDevice *topology_block_device_of_path(const Topology *t, const char *path) {
        const char *node = startswith(path, "/dev/");
        struct stat st;

        if (!node || strstr(path, "/../"))
                return NULL;
        const BlockDevice *b = block_of_node(t, node);
        if (b)
                return b;
        /* A link (by-uuid, a volume's). What is below /dev answers by itself. */
        return stat(path, &st) >= 0 && S_ISBLK(st.st_mode) ? topology_block_device_at(t, st.st_rdev) : NULL;
}

/* Which functions disks may be on: only of those is it asked what anybody has mounted, which anybody can make a long question. */

enum {
        PCI_CLASS_BRIDGE = 0x06, /* the upper byte of three of a class code */
};

/* What no driver has may yet get one; of these kinds (the upper byte of a PCI class code) none makes disks: network, display, multimedia, memory,
 * bridges, communication, system, input, docking, processors, wireless, encryption, signal processing, accelerators, instrumentation. */
static bool class_may_have_disks(uint32_t class) {
        static const uint8_t without[] = { 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0a, 0x0b, 0x0d, 0x10, 0x11, 0x12, 0x13 };

        for (size_t i = 0; i < ELEMENTSOF(without); i++)
                if (class >> 16 == without[i])
                        return false;
        return true;
}

/* Devices of a bus of its own, each with a driver. */
static bool children_may_have_disks(const Topology *t, const PciFunction *f) {
        size_t n = 0;

        for (size_t i = 0; i < t->n_foreign; i++) {
                const ForeignChild *c = &t->foreign[i];
                const KnownDriver *k = c->driver ? known_driver(c->subsystem, c->driver) : NULL;
                if (!streq_ptr(c->bdf, f->bdf))
                        continue;
                if (!k || k->users == DRIVER_HAS_BLOCKS || k->users == DRIVER_HAS_DEVICES)
                        return true;
                n++;
        }
        return n == 0 && class_may_have_disks(f->class);
}

bool topology_may_have_disks(const Topology *t, const PciFunction *f) {
        const KnownDriver *k = known_driver("pci", f->driver);

        if (f->class >> 16 == PCI_CLASS_BRIDGE)
                return false;
        if (!f->driver)
                return class_may_have_disks(f->class);
        if (!k || k->users == DRIVER_HAS_BLOCKS)
                return true;
        return k->users == DRIVER_HAS_DEVICES && children_may_have_disks(t, f);
}
