/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A disk whose card went while nobody looked leaves users behind that have nothing below them. */
#include <ctype.h>
#include <sys/sysmacros.h>

#include "base/clock.h"
#include "base/id-map.h"
#include "kernel/block/block-refs.h"
#include "kernel/log/boot-log.h"
#include "kernel/mounts/mounts.h"
#include "kernel/pci/device-places.h"
#include "kernel/sysfs/attr.h"
#include "probe/probe.h"
#include "recorded.h"
#include "vanished.h"

enum {
        CLASS_CXL_MEMORY = 0x0502, /* the upper two bytes of three */
        MTD_MAJOR = 31,            /* file systems on flash have its numbers, with or without block devices (include/linux/mtd/mtd.h) */
        AGAIN_SEC = 5,
};

void vanished_done(VanishedList *l) {
        for (size_t i = 0; i < l->n_items; i++)
                free(l->items[i].device);
        free(l->items);
        json_object_put(l->known);
        boot_log_done(&l->log);
        *l = (VanishedList) { 0 };
}

static bool has_block(json_object *blocks, const char *device, const char *number) {
        return json_find(blocks, "name", device) || json_find(blocks, "dev", number);
}

static bool is_known(json_object *known, const char *device, const char *number) {
        for (size_t i = 0; i < json_len(known); i++)
                if (has_block(json_array(json_at(known, i), "block_devices"), device, number) || scope_names(json_at(known, i), "gone", device))
                        return true;
        return false;
}

/* What is on no card: a file, another machine, memory. */
static bool is_elsewhere(const char *device) {
        static const char *const names[] = { "loop", "nbd", "rbd", "zram", "ram", "drbd", "rnbd", "ublkb" };

        for (size_t i = 0; i < ELEMENTSOF(names); i++) {
                const char *number = startswith(device, names[i]);
                if (number && isdigit((unsigned char) *number))
                        return true;
        }
        return false;
}

static int add(VanishedList *l, json_object *known, const char *device, dev_t dev) {
        _cleanup_free_ char *number = dev ? strf("%u:%u", major(dev), minor(dev)) : NULL;

        if (is_elsewhere(device ?: "") || is_known(known, device ?: number, number))
                return 0;
        for (size_t i = 0; i < l->n_items; i++)
                if (streq(l->items[i].device, device ?: number ?: "") || (dev && l->items[i].dev == dev)) {
                        l->items[i].dev = l->items[i].dev ?: dev;
                        return 0;
                }
        int r = vec_grow((void **) &l->items, l->n_items, &l->n_allocated, sizeof(Vanished));
        if (r < 0)
                return r;
        Vanished v = { .device = device ? strdup(device) : TAKE_PTR(number), .dev = dev };
        if (!v.device)
                return -ENOMEM;
        l->items[l->n_items++] = v;
        return 0;
}

/* A path that was a device's, and is no device's now; the kernel says what mount(8) was told. */
static char *name_of_source(const char *source) {
        _cleanup_free_ char *name = place_of_node(source);

        return name && !strchr(name, '!') && !path_existsf("/sys/class/block/%s", name) ? TAKE_PTR(name) : NULL;
}

/* The number of such a file system is nobody's device, and who made it told which device it is on. */
static bool is_on_numberless_device(const Mount *m) {
        return streq(m->type, "btrfs") || streq(m->type, "bcachefs");
}

static int add_mount(VanishedList *l, json_object *known, const Mount *m) {
        _cleanup_free_ char *name = NULL;

        if (major(m->dev) == 0 && !is_on_numberless_device(m))
                return 0;
        name = name_of_source(m->source);
        if (major(m->dev) == 0)
                return name ? add(l, known, name, 0) : 0;
        return major(m->dev) == MTD_MAJOR || path_existsf("/sys/dev/block/%u:%u", major(m->dev), minor(m->dev)) ? 0 : add(l, known, name, m->dev);
}

/* The name of a device that is gone, and that a file system without a number is still mounted from. */
static bool is_mounted_from(const char *device) {
        static const char *const types[] = { "btrfs", "bcachefs" };

        for (size_t i = 0; i < ELEMENTSOF(types); i++) {
                _cleanup_json_ json_object *mounts = NULL;

                if (mounts_find_all(&(MountedFs) { .type = types[i] }, AGAIN_SEC * USEC_PER_SEC, &mounts) < 0)
                        return true;
                for (size_t k = 0; k < json_len(mounts); k++) {
                        /* Those that are not told may be. */
                        if (json_flag(json_at(mounts, k), "more"))
                                return true;
                        _cleanup_free_ char *name = name_of_source(json_str(json_at(mounts, k), "source") ?: "");
                        if (streq_ptr(name, device))
                                return true;
                }
        }
        return false;
}

static bool is_mounted_still(const BlockRefs *refs, const Vanished *v) {
        _cleanup_free_ char *number = strf("%u:%u", major(v->dev), minor(v->dev));

        if (!v->dev)
                return is_mounted_from(v->device);
        for (size_t i = 0; i < refs->n_items; i++)
                if (!refs->items[i].place && streq_ptr(refs->items[i].device, number))
                        return true;
        return !number;
}

/* The mounts were read before the devices, and whatever was unmounted meanwhile may be gone as well. Only what is mounted still is lost; where
 * that cannot be found out, all that was. */
static int drop_unmounted(VanishedList *l) {
        _cleanup_block_refs_ BlockRefs refs = { 0 };
        size_t n = 0;

        if (l->n_items == 0)
                return 0;
        int r = block_refs_load_mounts(&refs, true, AGAIN_SEC * USEC_PER_SEC);
        if (r < 0)
                return r == -ENOMEM ? r : 0;
        for (size_t i = 0; i < l->n_items; i++) {
                if (is_mounted_still(&refs, &l->items[i]))
                        l->items[n++] = l->items[i];
                else
                        free(l->items[i].device);
        }
        l->n_items = n;
        return 0;
}

/* Each file system once: anybody may have any number of its mounts. */
static int add_mounts(VanishedList *l, json_object *known) {
        IdMap seen = { 0 };
        int r = 0;

        for (size_t i = 0; i < l->t->n_block_devices && r >= 0; i++)
                r = l->t->block_devices[i].dev ? id_map_add(&seen, l->t->block_devices[i].dev, 0) : 0;
        for (size_t i = 0; i < l->t->n_mounts && r >= 0; i++) {
                r = id_map_add(&seen, l->t->mounts[i].dev, 0);
                if (r > 0)
                        r = add_mount(l, known, &l->t->mounts[i]);
        }
        id_map_done(&seen);
        return r < 0 ? r : 0;
}

/* Super blocks, journals, swap, members, and what stands on it. */
static int add_references(VanishedList *l, json_object *known) {
        _cleanup_block_refs_ BlockRefs refs = { 0 };

        int r = block_refs_load(&refs);
        for (size_t i = 0; i < refs.n_items && r != -ENOMEM; i++) {
                const char *d = refs.items[i].device;
                dev_t dev;

                /* By its name, or by the number that is all there is. A name that anybody may have chosen tells of no disk. */
                if (refs.items[i].place || refs.items[i].chosen || strchr(d, '!'))
                        continue;
                /* "nvme0n1", "sdb": what a later kernel may have beside its super blocks has neither. */
                bool disk = strpbrk(d, "0123456789") || startswith(d, "sd") || startswith(d, "vd") || startswith(d, "xvd") || startswith(d, "hd");
                if (dev_parse(d, &dev) >= 0)
                        r = add(l, known, NULL, dev);
                else if (disk)
                        r = add(l, known, d, 0);
        }
        return r == -ENOMEM ? r : 0;
}

/* How many buses are below the slot's port, where the function is on one of them; 0: it is elsewhere. The port keeps their numbers when its
 * card goes. */
static unsigned buses_to(const Slot *slot, const char *bdf) {
        unsigned domain, bus, port_domain;
        uint64_t first, last;

        if (slot->address && startswith(bdf, slot->address) && strchr(".:", bdf[strlen(slot->address)]))
                return 1;
        if (!slot->port || sscanf(bdf, "%x:%x:", &domain, &bus) != 2 || sscanf(slot->port, "%x:", &port_domain) != 1 || domain != port_domain ||
            attr_read_u64f(&first, "/sys/bus/pci/devices/%s/secondary_bus_number", slot->port) < 0 ||
            attr_read_u64f(&last, "/sys/bus/pci/devices/%s/subordinate_bus_number", slot->port) < 0)
                return 0;
        return bus >= first && bus <= last ? (unsigned) (last - first) + 1 : 0;
}

/* The innermost. */
static const Slot *slot_of_function(const Topology *t, const char *bdf) {
        const Slot *found = NULL;
        unsigned least = 0;

        for (size_t i = 0; i < t->n_slots; i++) {
                unsigned buses = buses_to(&t->slots[i], bdf);
                if (buses > 0 && (!found || buses < least)) {
                        found = &t->slots[i];
                        least = buses;
                }
        }
        return found;
}

static bool is_occupied(const Topology *t, const Slot *slot) {
        for (size_t i = 0; i < t->n_functions; i++)
                if (buses_to(slot, t->functions[i].bdf) > 0)
                        return true;
        return false;
}

/* The one empty slot that had a memory card, which was not proved gone; NULL: there are several, or none, or nobody can tell. Of a card before
 * what is known of the log nothing tells; and the records are asked once in vain, and not for each. */
static const Slot *slot_of_memory(VanishedList *l) {
        const Slot *found = NULL;

        if (l->log.first > 0)
                return NULL;
        for (size_t i = 0; i < l->log.n_items && l->unread >= 0; i++) {
                const LogEntry *e = &l->log.items[i];
                const Slot *slot = e->class >> 8 == CLASS_CXL_MEMORY ? slot_of_function(l->t, e->bdf) : NULL;
                uint64_t since = 0;

                if (!slot || slot == found || is_occupied(l->t, slot))
                        continue;
                l->unread = recorded_safe_since(slot, &since);
                if (e->sequence < since)
                        continue;
                if (found)
                        return NULL;
                found = slot;
        }
        return l->unread < 0 ? NULL : found;
}

static void find_slot(VanishedList *l, Vanished *v) {
        unsigned number, namespace;
        /* "nvme3n1p2" is on the controller nvme3, or on another one of the same card's subsystem, which has its number from that
         * (drivers/nvme/host/core.c:nvme_init_subsystem). */
        _cleanup_free_ char *controller = sscanf(v->device, "nvme%un%u", &number, &namespace) == 2 ? strf("nvme%u", number) : NULL;
        const LogEntry *e = controller ? boot_log_controller(&l->log, controller) : NULL;

        if (e)
                v->slot = slot_of_function(l->t, e->bdf);
        else if (startswith(v->device, "pmem"))
                v->slot = slot_of_memory(l);
        v->replaced = v->slot && is_occupied(l->t, v->slot);
}

int vanished_find(const Topology *t, json_object *known, VanishedList *ret) {
        _cleanup_vanished_ VanishedList l = { .t = t, .known = json_ref(known) };

        int r = add_mounts(&l, known);
        if (r >= 0)
                r = drop_unmounted(&l);
        if (r >= 0)
                r = add_references(&l, known);
        if (r >= 0 && l.n_items > 0)
                r = boot_log_load(&l.log);
        if (r == -ENOMEM)
                return r;
        for (size_t i = 0; i < l.n_items; i++)
                find_slot(&l, &l.items[i]);
        *ret = l;
        l = (VanishedList) { 0 };
        return 0;
}

static void add_block(json_object *blocks, const char *name, dev_t dev) {
        json_object *o = json_object_new_object();

        json_set_str(o, "name", name);
        json_set_strf(o, "dev", "%u:%u", major(dev), minor(dev));
        json_object_array_add(blocks, o);
}

/* md_goes_t */
static bool member_is_among(const char *member, void *userdata) {
        return has_block(userdata, member, NULL);
}

static bool stands_on(const BlockDevice *b, json_object *blocks) {
        bool any = false;

        for (size_t i = 0; i < b->n_lower; i++)
                any = any || has_block(blocks, b->lower[i], NULL);
        if (!any || has_block(blocks, b->name, NULL))
                return false;
        return b->array ? !md_serves_without(b->array, member_is_among, blocks) : !b->multipath;
}

/* What has lost what it stood on, up to the top. An array that serves without is not lost. */
static void add_uppers(const Topology *t, json_object *blocks) {
        size_t before;

        do {
                before = json_len(blocks);
                for (size_t i = 0; i < t->n_block_devices; i++)
                        if (stands_on(&t->block_devices[i], blocks))
                                add_block(blocks, t->block_devices[i].name, t->block_devices[i].dev);
        } while (json_len(blocks) > before);
}

static bool is_mount_of(const Mount *m, json_object *blocks) {
        _cleanup_free_ char *number = NULL, *name = NULL;

        if (major(m->dev) == 0 && !is_on_numberless_device(m))
                return false;
        name = place_of_node(m->source);
        number = major(m->dev) ? strf("%u:%u", major(m->dev), minor(m->dev)) : NULL;
        return number ? has_block(blocks, NULL, number) : name && has_block(blocks, name, NULL);
}

static void add_file_systems(const Topology *t, json_object *blocks, json_object *file_systems) {
        IdMap seen = { 0 };

        for (size_t i = 0; i < t->n_mounts; i++) {
                const Mount *m = &t->mounts[i];
                if (id_map_add(&seen, m->dev, 0) <= 0 || !is_mount_of(m, blocks))
                        continue;
                json_object *o = json_object_new_object();
                json_set_strf(o, "dev", "%u:%u", major(m->dev), minor(m->dev));
                json_set_str(o, "type", m->type);
                json_object_array_add(file_systems, o);
        }
        id_map_done(&seen);
}

static void add_gone(json_object *gone, const Vanished *v) {
        json_append_str(gone, v->device);
        if (v->dev)
                json_append_strf(gone, "%u:%u", major(v->dev), minor(v->dev));
}

/* "nvme0n1" and "sdb" are made by different drivers: two letters tell. */
static bool is_of_another_kind(const char *device, json_object *scope) {
        json_object *blocks = json_array(scope, "block_devices"), *gone = json_array(scope, "gone");
        bool another = json_len(blocks) + json_len(gone) > 0 && isalpha((unsigned char) *device);

        for (size_t i = 0; i < json_len(blocks); i++)
                another = another && strncmp(json_str(json_at(blocks, i), "name") ?: "", device, 2) != 0;
        for (size_t i = 0; i < json_len(gone); i++)
                another = another && strncmp(json_object_get_string(json_at(gone, i)) ?: "", device, 2) != 0;
        return another;
}

static void add_known(json_object *gone, json_object *scope) {
        json_object *blocks = json_array(scope, "block_devices"), *names = json_array(scope, "gone");

        for (size_t i = 0; i < json_len(blocks); i++) {
                json_append_str(gone, json_str(json_at(blocks, i), "name"));
                json_append_str(gone, json_str(json_at(blocks, i), "dev"));
        }
        for (size_t i = 0; i < json_len(names); i++)
                json_object_array_add(gone, json_ref(json_at(names, i)));
}

void vanished_leave_out(const VanishedList *l, const Slot *slot, bool had_none, json_object *scope) {
        json_object *before = json_array(scope, "gone_before"), *gone = json_object_new_array();

        for (size_t i = 0; i < l->n_items; i++) {
                const Vanished *v = &l->items[i];
                if (v->slot ? v->slot != slot : had_none || is_of_another_kind(v->device, scope))
                        add_gone(gone, v);
        }
        for (size_t i = 0; i < json_len(l->known) && had_none; i++)
                add_known(gone, json_at(l->known, i));
        for (size_t i = 0; i < json_len(before); i++)
                json_object_array_add(gone, json_ref(json_at(before, i)));
        json_set(scope, "gone_before", gone);
}

/* Of one without a number the name is all that can be asked for, and whoever refers to it does so by that. */
static void set_blocks(json_object *scope, json_object *blocks) {
        json_object *numbered = json_object_new_array(), *gone = json_object_new_array();

        for (size_t i = 0; i < json_len(blocks); i++) {
                if (streq_ptr(json_str(json_at(blocks, i), "dev"), "0:0"))
                        json_append_str(gone, json_str(json_at(blocks, i), "name"));
                else
                        json_object_array_add(numbered, json_ref(json_at(blocks, i)));
        }
        json_set(scope, "block_devices", numbered);
        json_set(scope, "gone", gone);
}

/* What stands on these. */
static void set_storage(const VanishedList *l, json_object *scope, json_object *blocks) {
        json_object *file_systems = json_object_new_array();

        add_uppers(l->t, blocks);
        add_file_systems(l->t, blocks, file_systems);
        set_blocks(scope, blocks);
        json_set(scope, "file_systems", file_systems);
}

bool vanished_add_to_scope(const VanishedList *l, const Slot *slot, json_object *scope) {
        _cleanup_json_ json_object *blocks = json_object_new_array(), *others = json_object_new_array();

        for (size_t i = 0; i < l->n_items; i++) {
                const Vanished *v = &l->items[i];
                if (v->slot == slot && !v->replaced)
                        add_block(blocks, v->device, v->dev);
                else
                        add_gone(others, v);
        }
        if (json_len(blocks) == 0)
                return false;
        set_storage(l, scope, blocks);
        json_set(scope, "gone_before", json_ref(others));
        return true;
}

bool vanished_may_be_of(const VanishedList *l, const Slot *slot, uint64_t since) {
        bool any = false;

        for (size_t i = 0; i < l->n_items; i++)
                any = any || !l->items[i].slot;
        if (!any || !slot->address || is_occupied(l->t, slot))
                return false;
        if (!l->log.begun || l->log.first > since)
                return true;
        for (size_t i = 0; i < l->log.n_items; i++)
                if (l->log.items[i].sequence >= since && buses_to(slot, l->log.items[i].bdf) > 0)
                        return true;
        return false;
}

json_object *vanished_scope(const VanishedList *l, const Vanished *v) {
        json_object *scope = json_object_new_object();
        _cleanup_json_ json_object *blocks = json_object_new_array();

        add_block(blocks, v->device, v->dev);
        set_storage(l, scope, blocks);
        return scope;
}
