/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The memory of the card that processes can pin, and the step that lets no driver go before nobody does. */
#include "kernel/pages/page-census.h"
#include "plan/plan-storage.h"

enum {
        /* An io_uring is taken apart in the background when its process has ended; I/O comes back when its device is done. */
        TIMEOUT_SEC = 10,
};

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
