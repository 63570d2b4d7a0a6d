/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <sys/sysmacros.h>

#include "plan/scope/scope.h"

static json_object *region_json(const Scope *s, const Topology *t, const Region *r) {
        json_object *o = json_object_new_object(), *peers = json_object_new_array();

        json_set_str(o, "name", r->name);
        json_set_strf(o, "start", "0x%jx", (uintmax_t) r->start);
        json_set_u64(o, "size", r->size);
        json_set_u64(o, "ways", r->ways);
        json_set_str(o, "mode", r->mode);
        for (size_t i = 0; i < s->n_peers; i++) {
                const Memdev *m = s->peers[i];
                const Slot *slot = topology_slot_of_function(t, m->bdf);
                if (!region_uses_memdev(r, m->name))
                        continue;
                json_object *peer = json_object_new_object();
                json_set_str(peer, "memdev", m->name);
                json_set_str(peer, "bdf", m->bdf);
                json_set_str(peer, "slot", slot ? slot->name : NULL);
                json_set_strf(peer, "serial", "0x%jx", (uintmax_t) m->serial);
                json_object_array_add(peers, peer);
        }
        json_set(o, "peers", peers);
        return o;
}

static json_object *namespaces_json(const Scope *s) {
        json_object *array = json_object_new_array();

        for (size_t i = 0; i < s->n_namespaces; i++) {
                const Namespace *n = s->namespaces[i];
                json_object *o = json_object_new_object();
                json_set_str(o, "name", n->name);
                json_set_str(o, "mode", n->mode);
                json_set_str(o, "uuid", n->uuid);
                json_set_u64(o, "size", n->size);
                json_set_str(o, "block_device", n->block);
                json_set_str(o, "dax", n->dax);
                json_object_array_add(array, o);
        }
        return array;
}

static json_object *block_devices_json(const Scope *s) {
        json_object *array = json_object_new_array();

        for (size_t i = 0; i < s->n_blocks; i++) {
                const BlockDevice *b = s->blocks[i];
                /* A path that nobody but the kernel sees. */
                if (b->dev == 0)
                        continue;
                json_object *o = json_object_new_object();
                json_set_str(o, "name", b->name);
                json_set_str(o, "kind", block_kind_to_string(b->kind));
                json_set_str(o, "label", b->label);
                json_set_u64(o, "size", b->size);
                json_object_array_add(array, o);
        }
        return array;
}

/* The mounts of one file system stand together. */
static json_object *file_systems_json(const Scope *s) {
        json_object *array = json_object_new_array(), *mounts = NULL;

        for (size_t i = 0; i < s->n_mounts; i++) {
                const Mount *m = s->mounts[i];
                if (i == 0 || m->dev != s->mounts[i - 1]->dev) {
                        json_object *o = json_object_new_object();
                        mounts = json_object_new_array();
                        json_set_strf(o, "dev", "%u:%u", major(m->dev), minor(m->dev));
                        json_set_str(o, "type", m->type);
                        json_set_str(o, "source", m->source);
                        json_set(o, "mounts", mounts);
                        json_object_array_add(array, o);
                }
                json_object *mount = json_object_new_object();
                json_set_u64(mount, "ns", m->ns);
                json_set(mount, "pid", m->pid > 0 ? json_object_new_int(m->pid) : NULL);
                json_set_str(mount, "target", m->target);
                json_object_array_add(mounts, mount);
        }
        return array;
}

static json_object *swaps_json(const Scope *s) {
        json_object *array = json_object_new_array();

        for (size_t i = 0; i < s->n_swaps; i++) {
                json_object *o = json_object_new_object();
                json_set_str(o, "path", s->swaps[i]->path);
                json_set_u64(o, "size", s->swaps[i]->size);
                json_set_u64(o, "used", s->swaps[i]->used);
                json_object_array_add(array, o);
        }
        return array;
}

/* Which card is in a slot inside is told by its first function. */
static json_object *slots_json(const Scope *s) {
        json_object *array = scope_inner_json(s);

        for (size_t i = 0; i < s->n_inner; i++) {
                const PciFunction *first = NULL;
                for (size_t k = 0; k < s->n_functions && !first; k++)
                        if (streq_ptr(s->functions[k]->slot, s->inner[i]->name))
                                first = s->functions[k];
                json_set_str(json_at(array, i), "card", first ? first->bdf : NULL);
        }
        return array;
}

json_object *scope_takes_down_json(const Scope *s, const Topology *t) {
        json_object *o = json_object_new_object();
        json_object *regions = json_object_new_array(), *daxes = json_object_new_array();
        json_object *nodes = json_object_new_array(), *blocks = json_object_new_array();
        uint64_t bytes = 0, used = 0;

        for (size_t i = 0; i < s->n_regions; i++)
                json_object_array_add(regions, region_json(s, t, s->regions[i]));
        for (size_t i = 0; i < s->n_daxes; i++)
                json_append_str(daxes, s->daxes[i]->name);
        for (size_t i = 0; i < s->n_nodes; i++) {
                json_object_array_add(nodes, json_object_new_int(s->nodes[i]->id));
                used += s->nodes[i]->total - s->nodes[i]->free;
        }
        for (size_t i = 0; i < t->n_blocks; i++) {
                const MemoryBlock *b = &t->blocks[i];
                if (!scope_has_block(s, t, b))
                        continue;
                json_object *block = json_object_new_object();
                json_set_u64(block, "id", b->id);
                json_set_str(block, "zone", zone_to_string(b->zone));
                json_set_str(block, "state", b->online ? "online" : "offline");
                json_object_array_add(blocks, block);
                bytes += b->online ? t->block_size : 0;
        }

        if (s->n_inner > 0)
                json_set(o, "slots", slots_json(s));
        json_set(o, "regions", regions);
        json_set(o, "dax", daxes);
        json_set(o, "nodes", nodes);
        json_set_u64(o, "memory_bytes", bytes);
        json_set_u64(o, "used_bytes", used < bytes ? used : bytes);
        json_set(o, "blocks", blocks);
        json_set(o, "namespaces", namespaces_json(s));
        json_set(o, "block_devices", block_devices_json(s));
        json_set(o, "file_systems", file_systems_json(s));
        json_set(o, "swaps", swaps_json(s));
        return o;
}
