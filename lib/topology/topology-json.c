/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The picture as JSON, for people's scripts and for the CLI. Sizes are numbers of bytes, addresses and serial numbers
 * strings; what the kernel does not know is null. Objects carry the name of their slot, so that nobody has to follow
 * the chain again. */
#include <inttypes.h>
#include <sys/sysmacros.h>

#include "kernel/sysfs/known-drivers.h"
#include "topology/topology.h"

/* One array of the picture, every item through its writer. */
#define SET_ARRAY(o, key, t, what, to_json)                                             \
        do {                                                                            \
                json_object *_array = json_object_new_array();                          \
                for (size_t _i = 0; _i < (t)->n_##what; _i++)                           \
                        json_object_array_add(_array, to_json(t, &(t)->what[_i]));      \
                json_set(o, key, _array);                                               \
        } while (false)

static json_object *strings_to_json(char *const *strings, size_t n) {
        json_object *array = json_object_new_array();

        for (size_t i = 0; i < n; i++)
                json_append_str(array, strings[i]);
        return array;
}

/* "259:0", null for 0. */
static void set_dev(json_object *o, const char *key, dev_t dev) {
        if (dev != 0)
                json_set_strf(o, key, "%u:%u", major(dev), minor(dev));
        else
                json_set(o, key, NULL);
}

static json_object *nmem_to_json(const Topology *t, const Nmem *n) {
        const Memdev *m = topology_memdev(t, n->memdev);
        const Slot *s = m ? topology_slot_of_function(t, m->bdf) : topology_slot(t, n->name);
        json_object *o = json_object_new_object();

        json_set_str(o, "name", n->name);
        json_set_str(o, "slot", s ? s->name : NULL);
        json_set_str(o, "bus", n->bus);
        json_set_str(o, "memdev", n->memdev);
        json_set_str(o, "id", n->id);
        return o;
}

static json_object *nd_region_to_json(const Topology *t, const NdRegion *g) {
        json_object *o = json_object_new_object();

        json_set_str(o, "name", g->name);
        json_set_str(o, "bus", g->bus);
        json_set_str(o, "region", g->cxl_region);
        json_set_str(o, "driver", g->driver);
        json_set_strf(o, "start", "0x%" PRIx64, g->start);
        json_set_u64(o, "size", g->size);
        json_set(o, "nmems", strings_to_json(g->nmems, g->n_nmems));
        return o;
}

static json_object *namespace_to_json(const Topology *t, const Namespace *n) {
        json_object *o = json_object_new_object();

        json_set_str(o, "name", n->name);
        json_set_str(o, "nd_region", n->nd_region);
        json_set_str(o, "mode", n->mode);
        json_set_str(o, "uuid", n->uuid);
        json_set_u64(o, "size", n->size);
        json_set_u64(o, "data_start", n->data_start);
        json_set_u64(o, "data_size", n->data_size);
        json_set_str(o, "device", n->device);
        json_set_str(o, "driver", n->driver);
        json_set_str(o, "block_device", n->block);
        json_set_str(o, "dax", n->dax);
        return o;
}

static json_object *block_device_to_json(const Topology *t, const BlockDevice *b) {
        bool redundant = b->array && md_members_needed(b->array) <= md_members_in_sync(b->array);
        json_object *o = json_object_new_object(), *in_sync = json_object_new_array();

        for (size_t i = 0; b->array && i < b->array->n_members; i++)
                if (b->array->members[i].role == MD_IN_SYNC)
                        json_append_str(in_sync, b->array->members[i].name);
        json_set_str(o, "name", b->name);
        set_dev(o, "dev", b->dev);
        json_set_str(o, "kind", block_kind_to_string(b->kind));
        json_set_u64(o, "size", b->size);
        json_set_bool(o, "read_only", b->read_only);
        json_set_str(o, "bdf", b->bdf);
        json_set(o, "lower", strings_to_json(b->lower, b->n_lower));
        json_set_str(o, "label", b->label);
        json_set_str(o, "uuid", b->uuid);
        set_dev(o, "backing", b->backing);
        json_set(o, "members_needed", redundant ? json_object_new_uint64(md_members_needed(b->array)) : NULL);
        json_set(o, "in_sync", in_sync);
        return o;
}

static json_object *file_system_to_json(const Topology *t, const FileSystem *fs) {
        json_object *o = json_object_new_object(), *layers = json_object_new_array();

        for (size_t i = 0; i < fs->n_layers; i++)
                json_append_strf(layers, "%u:%u", major(fs->layers[i]), minor(fs->layers[i]));
        set_dev(o, "dev", fs->dev);
        json_set_str(o, "type", fs->type);
        json_set(o, "devices", strings_to_json(fs->devices, fs->n_devices));
        json_set(o, "layers", layers);
        return o;
}

static json_object *mount_to_json(const Topology *t, const Mount *m) {
        json_object *o = json_object_new_object();

        json_set_u64(o, "ns", m->ns);
        json_set(o, "pid", m->pid > 0 ? json_object_new_int(m->pid) : NULL);
        json_set_u64(o, "id", m->id);
        json_set_u64(o, "parent_id", m->parent_id);
        set_dev(o, "dev", m->dev);
        json_set_str(o, "root", m->root);
        json_set_str(o, "target", m->target);
        json_set_str(o, "options", m->options);
        json_set_str(o, "propagation", m->propagation);
        json_set_str(o, "type", m->type);
        json_set_str(o, "source", m->source);
        json_set_str(o, "super_options", m->super_options);
        return o;
}

static json_object *swap_to_json(const Topology *t, const Swap *s) {
        json_object *o = json_object_new_object();

        json_set_str(o, "path", s->path);
        json_set_bool(o, "file", s->file);
        set_dev(o, "dev", s->dev);
        json_set_u64(o, "size", s->size);
        json_set_u64(o, "used", s->used);
        json_set(o, "priority", json_object_new_int(s->priority));
        return o;
}

static void storage_to_json(const Topology *t, json_object *o) {
        json_object *mounts = json_object_new_array();

        /* Thousands of mounts are of proc, tmpfs and the like, which are on no card. */
        for (size_t i = 0; i < t->n_mounts; i++)
                if (topology_file_system(t, t->mounts[i].dev))
                        json_object_array_add(mounts, mount_to_json(t, &t->mounts[i]));
        SET_ARRAY(o, "nmems", t, nmems, nmem_to_json);
        SET_ARRAY(o, "nd_regions", t, nd_regions, nd_region_to_json);
        SET_ARRAY(o, "namespaces", t, namespaces, namespace_to_json);
        SET_ARRAY(o, "block_devices", t, block_devices, block_device_to_json);
        SET_ARRAY(o, "file_systems", t, file_systems, file_system_to_json);
        json_set(o, "mounts", mounts);
        SET_ARRAY(o, "swaps", t, swaps, swap_to_json);
}

static const char *slot_name_of(const Topology *t, const char *bdf) {
        const Slot *s = topology_slot_of_function(t, bdf);

        return s ? s->name : NULL;
}

static void set_node(json_object *o, const char *key, int node) {
        json_set(o, key, node < 0 ? NULL : json_object_new_int(node));
}

static void set_hex(json_object *o, const char *key, uint64_t v) {
        json_set_strf(o, key, "0x%" PRIx64, v);
}

static void set_serial(json_object *o, const Memdev *m) {
        json_set(o, "serial", NULL);
        if (m->serial != 0)
                set_hex(o, "serial", m->serial);
}

static const char *indicator_word(const Slot *s, bool present, Indicator i) {
        return !s->has_registers ? NULL : present ? indicator_to_string(i) : "none";
}

/* A memory module in its socket. */
static json_object *module_to_json(const Topology *t, const Slot *s) {
        const Nmem *n = topology_nmem(t, s->nmem);
        json_object *o = json_object_new_object();

        json_set_str(o, "bdf", NULL);
        json_set_str(o, "vendor", NULL);
        json_set_str(o, "device", NULL);
        json_set_str(o, "memdev", NULL);
        json_set_str(o, "serial", n ? n->id : NULL);
        json_set_str(o, "nmem", s->nmem);
        return o;
}

/* The card in a slot, told by its CXL memory device where it has one, else by its first function. */
static json_object *card_to_json(const Topology *t, const Slot *s) {
        const PciFunction *first = NULL;
        const Memdev *m = NULL;

        if (s->nmem)
                return module_to_json(t, s);
        for (size_t i = 0; i < t->n_functions; i++)
                if (streq_ptr(t->functions[i].slot, s->name)) {
                        first = &t->functions[i];
                        break;
                }
        for (size_t i = 0; i < t->n_memdevs && !m; i++)
                if (topology_slot_of_function(t, t->memdevs[i].bdf) == s)
                        m = &t->memdevs[i];
        if (m)
                first = topology_function(t, m->bdf);
        if (!first)
                return NULL;

        json_object *o = json_object_new_object();
        json_set_str(o, "bdf", first->bdf);
        json_set_strf(o, "vendor", "0x%04" PRIx32, first->vendor);
        json_set_strf(o, "device", "0x%04" PRIx32, first->device);
        json_set_str(o, "memdev", m ? m->name : NULL);
        json_set_str(o, "serial", first->serial);
        if (m)
                set_serial(o, m);
        return o;
}

static json_object *slot_to_json(const Topology *t, const Slot *s) {
        const SlotRegisters *r = &s->registers;
        json_object *o = json_object_new_object(), *card = card_to_json(t, s);

        json_set_str(o, "name", s->name);
        json_set_str(o, "address", s->address);
        json_set_str(o, "port", s->port);
        json_set_str(o, "service", s->service);
        if (s->outer)
                json_set_str(o, "outer", s->outer);
        json_set_bool(o, "held", s->held);
        json_set_bool(o, "occupied", card || (s->has_registers && r->card_present));
        json_set_str(o, "power", s->power < 0 ? "unknown" : s->power ? "on" : "off");
        json_set_str(o, "power_led", indicator_word(s, r->has_power_indicator, r->power));
        json_set_str(o, "attention_led", indicator_word(s, r->has_attention_indicator, r->attention));
        json_set(o, "power_controller", s->has_registers ? json_object_new_boolean(r->has_power_controller) : NULL);
        json_set(o, "attention_button", s->has_registers ? json_object_new_boolean(r->has_attention_button) : NULL);
        json_set(o, "button_pressed", s->has_registers ? json_object_new_boolean(r->button_pressed) : NULL);
        json_set(o, "card", card);
        return o;
}

static json_object *function_to_json(const Topology *t, const PciFunction *f) {
        json_object *o = json_object_new_object();

        json_set_str(o, "bdf", f->bdf);
        json_set_str(o, "slot", f->slot);
        json_set_str(o, "driver", f->driver);
        json_set_strf(o, "vendor", "0x%04" PRIx32, f->vendor);
        json_set_strf(o, "device", "0x%04" PRIx32, f->device);
        json_set_strf(o, "class", "0x%06" PRIx32, f->class);
        return o;
}

static json_object *foreign_to_json(const Topology *t, const ForeignChild *c) {
        json_object *o = json_object_new_object();

        json_set_str(o, "name", c->name);
        json_set_str(o, "subsystem", c->subsystem);
        json_set_str(o, "bdf", c->bdf);
        if (c->region)
                json_set_str(o, "region", c->region);
        if (c->driver && !known_driver(c->subsystem, c->driver))
                json_set_str(o, "driver", c->driver);
        json_set_str(o, "slot", slot_name_of(t, c->bdf));
        return o;
}

static json_object *memdev_to_json(const Topology *t, const Memdev *m) {
        json_object *o = json_object_new_object();

        json_set_str(o, "name", m->name);
        json_set_str(o, "bdf", m->bdf);
        json_set_str(o, "slot", slot_name_of(t, m->bdf));
        json_set_str(o, "driver", m->driver);
        set_serial(o, m);
        json_set(o, "ram_bytes", m->ram_known ? json_object_new_uint64(m->ram_size) : NULL);
        json_set(o, "pmem_bytes", m->pmem_known ? json_object_new_uint64(m->pmem_size) : NULL);
        set_node(o, "node", m->node);
        return o;
}

static json_object *target_to_json(const Topology *t, const RegionTarget *target) {
        const Memdev *m = topology_memdev(t, target->memdev);
        json_object *o = json_object_new_object();

        json_set_u64(o, "position", target->position);
        json_set_str(o, "decoder", target->decoder);
        json_set_u64(o, "decoder_index", target->decoder_index);
        json_set_str(o, "memdev", target->memdev);
        json_set_str(o, "slot", m ? slot_name_of(t, m->bdf) : NULL);
        set_hex(o, "dpa_start", target->dpa_start);
        json_set_u64(o, "dpa_size", target->dpa_size);
        json_set_str(o, "mode", target->mode);
        return o;
}

static json_object *region_to_json(const Topology *t, const Region *g) {
        json_object *o = json_object_new_object(), *targets = json_object_new_array();

        for (size_t i = 0; i < g->n_targets; i++)
                json_object_array_add(targets, target_to_json(t, &g->targets[i]));

        json_set_str(o, "name", g->name);
        json_set_str(o, "root_decoder", g->root_decoder);
        set_hex(o, "start", g->start);
        json_set_u64(o, "size", g->size);
        json_set_u64(o, "ways", g->ways);
        json_set_u64(o, "granularity", g->granularity);
        json_set_bool(o, "committed", g->committed);
        json_set_bool(o, "locked", g->locked);
        json_set_str(o, "driver", g->driver);
        json_set_str(o, "mode", g->mode);
        json_set_str(o, "uuid", g->uuid);
        json_set(o, "targets", targets);
        return o;
}

static json_object *dax_to_json(const Topology *t, const DaxDevice *d) {
        json_object *o = json_object_new_object();

        json_set_str(o, "name", d->name);
        json_set_str(o, "region", d->region);
        json_set_str(o, "nd_region", d->nd_region);
        set_dev(o, "dev", d->dev);
        json_set_str(o, "driver", d->driver);
        set_hex(o, "start", d->start);
        json_set_u64(o, "size", d->size);
        json_set_u64(o, "ranges", d->n_ranges);
        set_node(o, "target_node", d->target_node);
        json_set_str(o, "state", d->state);
        return o;
}

static json_object *block_to_json(const Topology *t, const MemoryBlock *b) {
        json_object *o = json_object_new_object();

        json_set_u64(o, "id", b->id);
        set_hex(o, "start", b->start);
        json_set_str(o, "state", b->online ? "online" : "offline");
        json_set_str(o, "zone", zone_to_string(b->zone));
        set_node(o, "node", b->node);
        return o;
}

static json_object *node_to_json(const Topology *t, const Node *n) {
        json_object *o = json_object_new_object();

        json_set_u64(o, "id", (uint64_t) n->id);
        json_set_u64(o, "total_bytes", n->total);
        json_set_u64(o, "free_bytes", n->free);
        json_set_u64(o, "reclaimable_bytes", n->reclaimable);
        json_set_bool(o, "has_cpus", n->has_cpus);
        return o;
}

static json_object *odd_to_json(const Topology *t, const Odd *odd) {
        json_object *o = json_object_new_object();

        json_set_str(o, "path", odd->path);
        json_set_str(o, "device", odd->where);
        json_set_str(o, "why", strerror(-odd->error));
        return o;
}

json_object *topology_to_json(const Topology *t) {
        json_object *o = json_object_new_object();

        json_set_str(o, "schema", "safe-remove/topology/1");
        SET_ARRAY(o, "slots", t, slots, slot_to_json);
        SET_ARRAY(o, "functions", t, functions, function_to_json);
        SET_ARRAY(o, "foreign", t, foreign, foreign_to_json);
        SET_ARRAY(o, "memdevs", t, memdevs, memdev_to_json);
        SET_ARRAY(o, "regions", t, regions, region_to_json);
        SET_ARRAY(o, "dax", t, daxes, dax_to_json);
        storage_to_json(t, o);
        SET_ARRAY(o, "nodes", t, nodes, node_to_json);
        SET_ARRAY(o, "blocks", t, blocks, block_to_json);
        json_set_u64(o, "block_size", t->block_size);
        json_set_str(o, "auto_online", t->auto_online);
        if (t->n_odd > 0)
                SET_ARRAY(o, "not_understood", t, odd, odd_to_json);
        if (t->n_namespaces_left_out > 0)
                json_set_u64(o, "namespaces_left_out", t->n_namespaces_left_out);
        return o;
}
