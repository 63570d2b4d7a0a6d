/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Namespaces and regions of the nvdimm bus: off from the top, by their drivers. */
#include <sys/sysmacros.h>

#include "plan/plan-storage.h"

/* Which block devices a removal asks for: what is left of the card when everything on it is taken down. A disk and its partitions
 * exclude each other, so of a disk with partitions those are taken: while anybody has one, nobody can have the disk. */

/* A file system whose mappings are taken by force stays mounted until its memory goes (step-disable-namespace.c). */
static bool stays_mounted(const Topology *t, const Scope *s, const PlanRequest *request, const BlockDevice *b) {
        for (size_t i = 0; i < s->n_mounts; i++)
                if (s->mounts[i]->dev == b->dev && unmap_wanted(t, s, request, s->mounts[i]))
                        return true;
        return false;
}

static bool is_leaf(const Scope *s, const BlockDevice *b) {
        if (b->dev == 0 || (b->kind != BLOCK_PARTITION && b->kind != BLOCK_DISK))
                return false;
        for (size_t i = 0; i < s->n_blocks; i++)
                if (s->blocks[i]->kind == BLOCK_PARTITION && streq_ptr(s->blocks[i]->disk, b->name))
                        return false;
        return true;
}

int plan_add_claims(Plan *p, const Topology *t, const Scope *s, const PlanRequest *request) {
        _cleanup_json_ json_object *devices = json_object_new_array();

        for (size_t i = 0; i < s->n_blocks; i++) {
                const BlockDevice *b = s->blocks[i];
                if (!is_leaf(s, b) || stays_mounted(t, s, request, b))
                        continue;
                json_object *o = json_object_new_object();
                json_set_str(o, "name", b->name);
                json_set_strf(o, "dev", "%u:%u", major(b->dev), minor(b->dev));
                json_object_array_add(devices, o);
        }
        if (json_len(devices) == 0)
                return 0;
        json_object *args = json_object_new_object();
        json_set(args, "devices", json_ref(devices));
        return plan_add_step(p, STEP_CLAIM_DEVICES, args);
}

static json_object *nd_region_json(const NdRegion *r) {
        json_object *o = json_object_new_object();

        json_set_str(o, "name", r->name);
        json_set_str(o, "bus", r->bus);
        json_set_u64(o, "start", r->start);
        json_set_u64(o, "size", r->size);
        return o;
}

/* A device that may still be mapped when its memory goes, or the file system right on it that may still be mounted. */
static void set_unmap(json_object *args, const Topology *t, const Scope *s, const PlanRequest *request, const Namespace *n,
                      const BlockDevice *block) {
        if (n->dax)
                json_set_bool(args, "force", true);
        for (size_t i = 0; i < s->n_mounts && block; i++) {
                const Mount *m = s->mounts[i];
                if (m->dev != block->dev || !unmap_wanted(t, s, request, m))
                        continue;
                json_object *fs = json_object_new_object();
                json_set_strf(fs, "dev", "%u:%u", major(m->dev), minor(m->dev));
                json_set_str(fs, "type", m->type);
                json_set_str(fs, "target", m->target);
                json_set(args, "fs", fs);
                json_set_bool(args, "force", true);
                json_set_u64(args, "data_start", n->data_start);
                json_set_u64(args, "data_size", n->data_size);
                return;
        }
}

static int add_namespace(Plan *p, const Topology *t, const Scope *s, const PlanRequest *request, const Namespace *n) {
        const NdRegion *region = SCOPE_NAMED(s, nd_regions, n->nd_region);
        const BlockDevice *block = n->block ? topology_block_device(t, n->block) : NULL;

        /* Of a region that is disabled the kernel enables nothing when it comes back. */
        if (!region || !region->driver)
                return 0;
        json_object *args = json_object_new_object();
        json_set_str(args, "namespace", n->name);
        json_set_str(args, "uuid", n->uuid);
        json_set_str(args, "mode", n->mode);
        json_set_str(args, "device", n->device);
        json_set_str(args, "driver", n->driver);
        json_set(args, "nd_region", nd_region_json(region));
        json_set_str(args, "block", n->block);
        if (block)
                json_set_strf(args, "block_dev", "%u:%u", major(block->dev), minor(block->dev));
        json_set_str(args, "dax", n->dax);
        if (request->policy->force_unmap)
                set_unmap(args, t, s, request, n, block);
        return plan_add_step(p, STEP_DISABLE_NAMESPACE, args);
}

int plan_add_namespaces(Plan *p, const Topology *t, const Scope *s, const PlanRequest *request) {
        int r = 0;

        for (size_t i = 0; i < s->n_namespaces && r >= 0; i++)
                r = add_namespace(p, t, s, request, s->namespaces[i]);
        for (size_t i = 0; i < s->n_nd_regions && r >= 0; i++) {
                const NdRegion *g = s->nd_regions[i];
                const Region *cxl = g->cxl_region ? topology_region(t, g->cxl_region) : NULL;
                if (!g->driver)
                        continue;
                json_object *args = json_object_new_object();
                json_set(args, "nd_region", nd_region_json(g));
                json_set(args, "region", cxl ? region_step_json(cxl) : NULL);
                r = plan_add_step(p, STEP_DISABLE_ND_REGION, args);
        }
        return r;
}
