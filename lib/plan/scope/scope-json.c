/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/clock.h"
#include "kernel/block/block-refs.h"
#include "plan/scope/scope.h"

enum {
        GONE_TIMEOUT_SEC = 2,
};

json_object *scope_slot_json(const Slot *slot) {
        json_object *o = json_object_new_object();

        json_set_str(o, "name", slot->name);
        json_set_str(o, "port", slot->port);
        json_set_str(o, "service", slot->service);
        /* Can its driver switch the power? pciehp drives slots without a switch too, and their `power` reads 1 for ever; others have
         * the attribute because they can. */
        json_set_bool(o, "power_controller", slot->service ? slot->has_registers && slot->registers.has_power_controller : slot->power >= 0);
        return o;
}

static const Memdev *memdev_on(const Scope *s, const PciFunction *f) {
        for (size_t i = 0; i < s->n_memdevs; i++)
                if (streq_ptr(s->memdevs[i]->bdf, f->bdf))
                        return s->memdevs[i];
        return NULL;
}

static json_object *function_json(const Scope *s, const PciFunction *f) {
        const Memdev *m = memdev_on(s, f);
        json_object *o = json_object_new_object();

        json_set_str(o, "bdf", f->bdf);
        json_set_strf(o, "vendor", "0x%04x", f->vendor);
        json_set_strf(o, "device", "0x%04x", f->device);
        json_set_str(o, "memdev", m ? m->name : NULL);
        json_set_str(o, "serial", m ? NULL : f->serial);
        if (m && m->serial != 0)
                json_set_strf(o, "serial", "0x%jx", (uintmax_t) m->serial);
        /* Of several cards each goes when its own slot does: who is asked for later has to know. */
        if (s->n_others > 0 && scope_slot_of(s, f))
                json_set_str(o, "slot", scope_slot_of(s, f)->name);
        return o;
}

/* The document of the slot's own card, without what else is below the port: it is called after its memory device where it has one, else after its
 * first function; never after what sits in a slot inside of it. */
static json_object *first_json(const Scope *s, const Slot *slot) {
        const PciFunction *first = NULL;
        const Memdev *m = NULL;

        for (size_t i = 0; i < s->n_functions && !m; i++) {
                if (!streq_ptr(s->functions[i]->slot, slot->name))
                        continue;
                m = memdev_on(s, s->functions[i]);
                if (m || !first)
                        first = s->functions[i];
        }
        if (!first) {
                first = s->functions[0];
                m = memdev_on(s, first);
        }
        json_object *o = function_json(s, first);
        if (m) {
                json_set(o, "ram_bytes", m->ram_known ? json_object_new_uint64(m->ram_size) : NULL);
                json_set(o, "pmem_bytes", m->pmem_known ? json_object_new_uint64(m->pmem_size) : NULL);
        }
        return o;
}

/* The identity that is checked again before every write. A card that has neither memdev nor serial number is known by its ids
 * alone. */
json_object *scope_card_json(const Scope *s) {
        if (s->n_functions == 0 && s->n_nmems == 0)
                return NULL;
        json_object *o = s->n_functions > 0 ? first_json(s, s->slot) : json_object_new_object();
        if (s->n_functions == 0) {
                json_set_str(o, "bdf", NULL);
                json_set_str(o, "memdev", NULL);
                json_set_str(o, "nmem", s->nmems[0]->name);
                json_set_str(o, "serial", s->nmems[0]->id);
        }
        if (s->n_functions > 1) {
                /* Every function below the port with what tells it from others: each of them has to be the one that was looked at. */
                json_object *endpoints = json_object_new_array();
                for (size_t i = 0; i < s->n_functions; i++)
                        json_object_array_add(endpoints, function_json(s, s->functions[i]));
                json_set(o, "endpoints", endpoints);
        }
        return o;
}

json_object *scope_slots_json(const Scope *s) {
        json_object *array = s->n_others > 0 ? json_object_new_array() : NULL;

        for (size_t i = 0; array && i < scope_n_slots(s); i++) {
                json_object *o = scope_slot_json(scope_slot(s, i));
                json_set_str(o, "address", scope_slot(s, i)->address);
                json_set(o, "card", s->n_functions > 0 ? first_json(s, scope_slot(s, i)) : NULL);
                json_object_array_add(array, o);
        }
        return array;
}

/* The kernel keeps the disk of a namespace for as long as it has any path to it, one that serves nobody as well; and its partitions. */
static bool head_stays(const Scope *s, const BlockDevice *b) {
        const char *name = b->kind == BLOCK_PARTITION ? b->disk : b->name;

        for (size_t i = 0; i < s->n_blocks; i++) {
                const BlockDevice *head = s->blocks[i];
                size_t going = 0;

                if (!head->multipath || head->kind != BLOCK_DISK || !streq(head->name, name))
                        continue;
                for (size_t j = 0; j < head->n_lower; j++)
                        going += scope_has_block_device(s, head->lower[j]);
                return going < head->n_lower;
        }
        return false;
}

/* What must not be there any more: block devices by name and number, file systems by the number of their device. */
static void set_storage(json_object *o, const Scope *s) {
        json_object *blocks = json_object_new_array(), *file_systems = json_object_new_array();

        for (size_t i = 0; i < s->n_blocks; i++) {
                const BlockDevice *b = s->blocks[i];
                json_object *block = json_object_new_object();
                json_set_str(block, "name", b->name);
                json_set_strf(block, "dev", "%u:%u", major(b->dev), minor(b->dev));
                /* A disk on a PCI function of the card is there until the function goes. */
                json_set_bool(block, "goes_with_power", scope_has_function(s, b->bdf) && (b->kind == BLOCK_DISK || b->kind == BLOCK_PARTITION));
                if (head_stays(s, b))
                        json_set_bool(block, "stays", true);
                json_object_array_add(blocks, block);
        }
        for (size_t i = 0; i < s->n_mounts; i++) {
                if (i > 0 && s->mounts[i]->dev == s->mounts[i - 1]->dev)
                        continue;
                json_object *fs = json_object_new_object();
                json_set_strf(fs, "dev", "%u:%u", major(s->mounts[i]->dev), minor(s->mounts[i]->dev));
                json_set_str(fs, "type", s->mounts[i]->type);
                json_object_array_add(file_systems, fs);
        }
        json_set(o, "block_devices", blocks);
        json_set(o, "file_systems", file_systems);
}

static void set_unless_empty(json_object *o, const char *key, json_object *array) {
        if (json_len(array) > 0)
                json_set(o, key, array);
        else
                json_object_put(array);
}

/* md_goes_t */
static bool member_goes(const char *member, void *userdata) {
        return scope_has_block_device(userdata, member);
}

/* What never served, or is a container whose volumes tell of it, loses nothing. */
static bool goes_on(const Scope *s, const BlockDevice *b) {
        bool any = false;

        for (size_t i = 0; i < b->n_lower; i++)
                any = any || scope_has_block_device(s, b->lower[i]);
        if (!any || scope_has_block_device(s, b->name))
                return false;
        return b->array ? !streq_ptr(b->array->level, "container") && md_serves_without(b->array, member_goes, (void *) s) : b->multipath;
}

/* What stands on the card and elsewhere, and stays. */
static void set_goes_on(json_object *o, const Scope *s, const Topology *t) {
        json_object *parts = json_object_new_array();

        for (size_t i = 0; i < t->n_block_devices; i++) {
                const BlockDevice *b = &t->block_devices[i];
                if (!goes_on(s, b))
                        continue;
                json_object *part = json_object_new_object();
                json_set_str(part, "name", b->name);
                json_set_strf(part, "dev", "%u:%u", major(b->dev), minor(b->dev));
                json_object_array_add(parts, part);
        }
        set_unless_empty(o, "goes_on", parts);
}

/* Those that a process can open. */
static void set_dax_devices(json_object *o, const Scope *s) {
        json_object *daxes = json_object_new_array();

        for (size_t i = 0; i < s->n_daxes; i++) {
                if (s->daxes[i]->dev == 0)
                        continue;
                json_object *d = json_object_new_object();
                json_set_str(d, "name", s->daxes[i]->name);
                json_set_strf(d, "dev", "%u:%u", major(s->daxes[i]->dev), minor(s->daxes[i]->dev));
                json_object_array_add(daxes, d);
        }
        json_set(o, "dax_devices", daxes);
}

static bool may_have_disks(const Scope *s, const Topology *t) {
        bool may = s->n_blocks > 0;

        for (size_t i = 0; i < s->n_functions && !may; i++)
                may = topology_may_have_disks(t, s->functions[i]);
        return may;
}

/* What was gone before the card is none of the card's: told, so that it is not taken for it when its references are found. Whoever cannot
 * look now will not take anything for it then. And a volume forgets a member that is gone: which ones had the card's is told as well. */
void scope_add_gone_before(json_object *o, const Scope *s, const Topology *t) {
        json_object *gone = json_object_new_array(), *volumes = json_object_new_array();
        _cleanup_block_refs_ BlockRefs refs = { 0 };

        (void) block_refs_load(&refs);
        if (may_have_disks(s, t))
                (void) block_refs_load_mounts(&refs, false, GONE_TIMEOUT_SEC * USEC_PER_SEC);
        for (size_t i = 0; i < refs.n_items; i++) {
                const BlockRef *ref = &refs.items[i];

                if (!ref->place)
                        json_append_str(gone, ref->device);
                if (ref->volume && scope_has_block_device(s, ref->device) && !json_has_string(volumes, ref->volume))
                        json_append_str(volumes, ref->volume);
        }
        set_unless_empty(o, "gone_before", gone);
        set_unless_empty(o, "volumes", volumes);
}

json_object *scope_inner_json(const Scope *s) {
        json_object *array = json_object_new_array();

        for (size_t i = 0; i < s->n_inner; i++) {
                json_object *o = json_object_new_object();
                json_set_str(o, "name", s->inner[i]->name);
                json_set_str(o, "port", s->inner[i]->port);
                json_set_str(o, "address", s->inner[i]->address);
                json_object_array_add(array, o);
        }
        return array;
}

json_object *scope_seen_json(const Scope *s, const Topology *t) {
        const Slot *slot = s->slot;
        const SlotRegisters *regs = slot->has_registers ? &slot->registers : NULL;
        json_object *o = scope_slot_json(slot);
        json_object *functions = json_object_new_array(), *memdevs = json_object_new_array(), *odd = json_object_new_array();
        bool silent = false;

        /* The probes know the slot by this key; everything else is as in the plan's "slot". */
        json_set_str(o, "slot", slot->name);
        json_set_str(o, "address", slot->address);
        json_set_bool(o, "power_indicator", regs && regs->has_power_indicator);
        json_set_bool(o, "attention_indicator", regs && regs->has_attention_indicator);
        for (size_t i = 0; i < s->n_functions; i++) {
                json_append_str(functions, s->functions[i]->bdf);
                silent = silent || (topology_is_memory(t, s->functions[i]) && !memdev_on(s, s->functions[i]));
        }
        if (s->n_inner > 0)
                json_set(o, "inner", scope_inner_json(s));
        for (size_t i = 0; i < s->n_memdevs; i++) {
                json_object *m = json_object_new_object();
                json_set_str(m, "name", s->memdevs[i]->name);
                json_set_strf(m, "serial", "0x%jx", (uintmax_t) s->memdevs[i]->serial);
                json_object_array_add(memdevs, m);
        }
        set_storage(o, s);
        set_goes_on(o, s, t);
        set_dax_devices(o, s);
        json_set(o, "functions", functions);
        json_set(o, "memdevs", memdevs);
        json_set(o, "ranges", scope_ranges_json(s));
        /* A memory card that nobody tells of (MEMORY_UNKNOWN): where its memory was is not known either once it is gone. */
        if (silent)
                json_set_bool(o, "memory_unknown", true);
        if (s->n_functions > s->n_memdevs && !may_have_disks(s, t))
                json_set_bool(o, "without_disks", true);
        /* Of attributes that the look did not understand find-odd.c has said whose they are: they are not asked once more. */
        for (size_t i = 0; i < t->n_odd; i++)
                json_append_str(odd, t->odd[i].path);
        set_unless_empty(o, "not_understood", odd);
        return o;
}

json_object *scope_probe_json(const Scope *s, const Topology *t) {
        json_object *o = scope_seen_json(s, t);

        scope_add_gone_before(o, s, t);
        return o;
}

json_object *region_step_json(const Region *r) {
        if (!r)
                return NULL;

        json_object *o = json_object_new_object(), *targets = json_object_new_array();

        json_set_str(o, "name", r->name);
        json_set_str(o, "root", r->root_decoder);
        json_set_u64(o, "start", r->start);
        json_set_u64(o, "size", r->size);
        json_set_u64(o, "ways", r->ways);
        json_set_u64(o, "granularity", r->granularity);
        json_set_str(o, "mode", r->mode);
        json_set_str(o, "uuid", r->uuid);
        for (size_t i = 0; i < r->n_targets; i++) {
                const RegionTarget *target = &r->targets[i];
                json_object *each = json_object_new_object();
                json_set_u64(each, "position", target->position);
                json_set_str(each, "memdev", target->memdev);
                json_set_u64(each, "index", target->decoder_index);
                json_set_u64(each, "dpa_start", target->dpa_start);
                json_set_u64(each, "dpa_size", target->dpa_size);
                json_set_str(each, "mode", target->mode);
                json_object_array_add(targets, each);
        }
        json_set(o, "targets", targets);
        return o;
}

json_object *dax_ranges_json(const DaxDevice *d) {
        json_object *array = json_object_new_array();

        for (size_t i = 0; i < d->n_ranges; i++) {
                json_object *o = json_object_new_object();
                json_set_u64(o, "start", d->ranges[i].start);
                json_set_u64(o, "size", d->ranges[i].size);
                json_object_array_add(array, o);
        }
        return array;
}

json_object *dax_region_json(const Topology *t, const DaxDevice *d) {
        const Region *r = topology_region(t, d->region);

        if (r)
                return region_step_json(r);
        json_object *o = json_object_new_object();
        json_set_str(o, "name", d->name);
        json_set_u64(o, "start", d->start);
        json_set_u64(o, "size", d->size);
        json_set_bool(o, "dax_alone", true);
        return o;
}

static bool has_node(const char *folder, const char *name) {
        _cleanup_free_ char *path = strf("%s/%s", folder, name);
        struct stat st;

        return path && stat(path, &st) >= 0 && S_ISCHR(st.st_mode);
}

/* Without a node in /dev the libraries leave a device out, or have nothing to ask it through. */
json_object *scope_card_question(const Scope *s) {
        json_object *o = json_object_new_object(), *memdevs = json_object_new_array(), *nmems = json_object_new_array(), *regions = json_object_new_array();

        json_set(o, "memdevs", memdevs);
        json_set(o, "nmems", nmems);
        json_set(o, "nd_regions", regions);
        for (size_t i = 0; i < s->n_memdevs; i++) {
                if (!has_node("/dev/cxl", s->memdevs[i]->name))
                        continue;
                json_object *m = json_object_new_object();
                json_set_str(m, "name", s->memdevs[i]->name);
                json_set_strf(m, "serial", "0x%jx", (uintmax_t) s->memdevs[i]->serial);
                json_object_array_add(memdevs, m);
        }
        for (size_t i = 0; i < s->n_nmems; i++) {
                if (!has_node("/dev", s->nmems[i]->name))
                        continue;
                json_object *n = json_object_new_object();
                json_set_str(n, "name", s->nmems[i]->name);
                json_set_str(n, "id", s->nmems[i]->id);
                json_object_array_add(nmems, n);
        }
        for (size_t i = 0; i < s->n_nd_regions; i++) {
                json_object *g = json_object_new_object();
                json_set_str(g, "name", s->nd_regions[i]->name);
                json_set_strf(g, "start", "0x%jx", (uintmax_t) s->nd_regions[i]->start);
                json_object_array_add(regions, g);
        }
        if (json_len(memdevs) + json_len(nmems) > 0)
                return o;
        json_object_put(o);
        return NULL;
}
