/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>
#include <sys/sysmacros.h>

#include "topology/topology-json.h"

static json_object *strings_to_json(char *const *strings, size_t n) {
        json_object *array = json_object_new_array();

        for (size_t i = 0; i < n; i++)
                json_append_str(array, strings[i]);
        return array;
}

void set_dev(json_object *o, const char *key, dev_t dev) {
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

static json_object *members_in_sync(const MdArray *a) {
        json_object *array = json_object_new_array();

        for (size_t i = 0; a && i < a->n_members; i++)
                if (a->members[i].role == MD_IN_SYNC)
                        json_append_str(array, a->members[i].name);
        return array;
}

static json_object *block_device_to_json(const Topology *t, const BlockDevice *b) {
        bool redundant = b->array && md_members_needed(b->array) <= md_members_in_sync(b->array);
        json_object *o = json_object_new_object();

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
        json_set(o, "in_sync", members_in_sync(b->array));
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

/* Thousands of mounts are of proc, tmpfs and the like, which are on no card. */
static json_object *mounts_to_json(const Topology *t) {
        json_object *array = json_object_new_array();

        for (size_t i = 0; i < t->n_mounts; i++)
                if (topology_file_system(t, t->mounts[i].dev))
                        json_object_array_add(array, mount_to_json(t, &t->mounts[i]));
        return array;
}

void topology_storage_to_json(const Topology *t, json_object *o) {
        SET_ARRAY(o, "nmems", t, nmems, nmem_to_json);
        SET_ARRAY(o, "nd_regions", t, nd_regions, nd_region_to_json);
        SET_ARRAY(o, "namespaces", t, namespaces, namespace_to_json);
        SET_ARRAY(o, "block_devices", t, block_devices, block_device_to_json);
        SET_ARRAY(o, "file_systems", t, file_systems, file_system_to_json);
        json_set(o, "mounts", mounts_to_json(t));
        SET_ARRAY(o, "swaps", t, swaps, swap_to_json);
}
