/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which block devices a removal asks for: what is left of the card when everything on it is taken down. A disk and its partitions
 * exclude each other, so of a disk with partitions those are taken: while anybody has one, nobody can have the disk. */
#include <sys/sysmacros.h>

#include "plan/plan-storage.h"

static bool has_partitions(const Scope *s, const BlockDevice *disk) {
        for (size_t i = 0; i < s->n_blocks; i++)
                if (s->blocks[i]->kind == BLOCK_PARTITION && streq_ptr(s->blocks[i]->disk, disk->name))
                        return true;
        return false;
}

/* A file system whose mappings are taken by force stays mounted until its memory goes (step-disable-namespace.c). */
static bool stays_mounted(const Topology *t, const Scope *s, const PlanRequest *request, const BlockDevice *b) {
        for (size_t i = 0; i < s->n_mounts; i++)
                if (s->mounts[i]->dev == b->dev && unmap_wanted(t, s, request, s->mounts[i]))
                        return true;
        return false;
}

static bool is_leaf(const Scope *s, const BlockDevice *b) {
        return b->dev != 0 && (b->kind == BLOCK_PARTITION || (b->kind == BLOCK_DISK && !has_partitions(s, b)));
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
