/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who may hold something on the card, and the steps that make them let go. They are in a plan whenever there is anything that
 * could be held, not only when somebody was seen to hold it: whoever comes between the plan and the act is found by the step. */
#include <errno.h>

#include "plan/plan-storage.h"

bool dax_is_mapped(const DaxDevice *d) {
        return d->driver && !streq(d->driver, "kmem");
}

static int add_file_systems(const Scope *s, HoldTargets *targets) {
        for (size_t i = 0; i < s->n_mounts; i++) {
                bool known = false;
                for (size_t j = 0; j < i && !known; j++)
                        known = s->mounts[j]->dev == s->mounts[i]->dev;
                int r = known ? 0 : hold_targets_add(targets, TARGET_FS, s->mounts[i]->dev, s->mounts[i]->target);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int add_devices(const Scope *s, HoldTargets *targets) {
        for (size_t i = 0; i < s->n_blocks; i++) {
                _cleanup_free_ char *name = strf("/dev/%s", s->blocks[i]->name);
                int r = name ? hold_targets_add(targets, TARGET_BLOCK, s->blocks[i]->dev, name) : -ENOMEM;
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

        int r = add_file_systems(s, &targets);
        if (r >= 0)
                r = add_devices(s, &targets);
        if (r >= 0 && request->caller_session > 0)
                r = hold_targets_protect_session(&targets, request->caller_session);
        if (r < 0) {
                hold_targets_done(&targets);
                return r;
        }
        *ret = targets;
        return 0;
}

static int add_step(Plan *p, StepType type, json_object *targets, const PlanRequest *request) {
        json_object *args = json_object_new_object();

        json_set(args, "targets", json_ref(targets));
        json_set(args, "rules", json_ref(request->policy->rules));
        if (type == STEP_END_HOLDERS)
                json_set_bool(args, "force_kill", request->policy->force_kill);
        return plan_add_step(p, type, args);
}

int plan_add_end_of_holders(Plan *p, const Scope *s, const PlanRequest *request) {
        _cleanup_(hold_targets_done) HoldTargets targets = { 0 };

        int r = storage_targets(s, request, &targets);
        if (r < 0 || targets.n_items == 0)
                return r;
        _cleanup_json_ json_object *array = hold_targets_to_json(&targets);
        r = add_step(p, STEP_FREEZE_HOLDERS, array, request);
        return r < 0 ? r : add_step(p, STEP_END_HOLDERS, array, request);
}
