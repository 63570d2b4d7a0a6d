/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What of the card a process can have: file systems, devices, and memory that it can pin; and the step that lets no driver go before nobody has
 * any pinned. */
#include <errno.h>

#include "kernel/pages/page-census.h"
#include "plan/plan-storage.h"

enum {
        /* An io_uring is taken apart in the background when its process has ended; I/O comes back when its device is done. */
        TIMEOUT_SEC = 10,
};

bool dax_is_mapped(const DaxDevice *d) {
        return d->driver && !streq(d->driver, "kmem");
}

static int add_devices(const Scope *s, HoldTargets *targets) {
        for (size_t i = 0; i < s->n_blocks; i++) {
                _cleanup_free_ char *name = strf("/dev/%s", s->blocks[i]->name);
                /* One path of several to an NVMe disk has no number of its own: nobody opens it. */
                if (s->blocks[i]->dev == 0)
                        continue;
                int r = name ? hold_targets_add(targets, TARGET_BLOCK, s->blocks[i]->dev, name) : -ENOMEM;
                if (r >= 0)
                        r = hold_targets_add_generic(targets, s->blocks[i]->name);
                if (r < 0)
                        return r;
        }
        for (size_t i = 0; i < s->n_daxes; i++) {
                _cleanup_free_ char *name = strf("/dev/%s", s->daxes[i]->name);
                if (!dax_is_mapped(s->daxes[i]) || s->daxes[i]->dev == 0)
                        continue;
                int r = name ? hold_targets_add(targets, TARGET_CHAR, s->daxes[i]->dev, name) : -ENOMEM;
                if (r < 0)
                        return r;
        }
        return 0;
}

int storage_targets(const Scope *s, const PlanRequest *request, HoldTargets *ret) {
        HoldTargets targets = { 0 };
        int r = 0;

        /* All mounts of one file system are together. */
        for (size_t i = 0; i < s->n_mounts && r >= 0; i++)
                if (i == 0 || s->mounts[i - 1]->dev != s->mounts[i]->dev)
                        r = hold_targets_add(&targets, TARGET_FS, s->mounts[i]->dev, s->mounts[i]->target);
        if (r >= 0)
                r = add_devices(s, &targets);
        for (size_t i = 0; i < s->n_functions && r >= 0; i++)
                r = hold_targets_add_function(&targets, s->functions[i]->bdf);
        if (r >= 0 && request->caller_session > 0)
                r = hold_targets_protect_session(&targets, request->caller_session);
        if (r < 0) {
                hold_targets_done(&targets);
                return r;
        }
        *ret = targets;
        return 0;
}

static void add_range(json_object *array, uint64_t start, uint64_t size, CensusKind kind) {
        json_object *o = json_object_new_object();

        json_set_u64(o, "start", start);
        json_set_u64(o, "size", size);
        json_set_str(o, "kind", census_kind_to_string(kind));
        json_object_array_add(array, o);
}

/* Those of devdax namespaces have a dax device, sectors have no pages. */
static void add_fsdax(json_object *array, const Scope *s) {
        for (size_t i = 0; i < s->n_namespaces; i++)
                if (s->namespaces[i]->driver && streq(s->namespaces[i]->mode, "fsdax") && s->namespaces[i]->data_size > 0)
                        add_range(array, s->namespaces[i]->data_start, s->namespaces[i]->data_size, CENSUS_FSDAX);
}

json_object *storage_pages_json(const Scope *s) {
        json_object *array = json_object_new_array();

        for (size_t i = 0; i < s->n_daxes; i++)
                for (size_t k = 0; dax_is_mapped(s->daxes[i]) && k < s->daxes[i]->n_ranges; k++)
                        add_range(array, s->daxes[i]->ranges[k].start, s->daxes[i]->ranges[k].size, CENSUS_DEVICE_DAX);
        add_fsdax(array, s);
        return array;
}

static int add_proof(Plan *p, const Scope *s, const PlanRequest *request, json_object *ranges) {
        _cleanup_(hold_targets_done) HoldTargets targets = { 0 };

        if (json_len(ranges) == 0)
                return 0;
        int r = storage_targets(s, request, &targets);
        if (r < 0)
                return r;
        json_object *args = json_object_new_object();
        json_set(args, "ranges", json_ref(ranges));
        json_set(args, "targets", hold_targets_to_json(&targets));
        json_set_bool(args, "force", request->policy->force_unproven);
        json_set_u64(args, "timeout_sec", TIMEOUT_SEC);
        return plan_add_step(p, STEP_PROVE_UNPINNED, args);
}

int plan_add_proof(Plan *p, const Scope *s, const PlanRequest *request) {
        _cleanup_json_ json_object *ranges = storage_pages_json(s);

        return add_proof(p, s, request, ranges);
}

int plan_add_proof_of_files(Plan *p, const Scope *s, const PlanRequest *request) {
        _cleanup_json_ json_object *ranges = json_object_new_array();

        if (s->n_mounts > 0)
                add_fsdax(ranges, s);
        return add_proof(p, s, request, ranges);
}
