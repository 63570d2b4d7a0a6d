/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who may hold something on the card, and the steps that make them let go. They are in a plan whenever there is anything that
 * could be held, not only when somebody was seen to hold it: whoever comes between the plan and the act is found by the step. */
#include <errno.h>
#include <fnmatch.h>

#include "holders/function-targets.h"
#include "holders/holder-rule.h"
#include "plan/plan-storage.h"

enum {
        FREEZE_TIMEOUT_SEC = 30,
};

bool dax_is_mapped(const DaxDevice *d) {
        return d->driver && !streq(d->driver, "kmem");
}

static int add_file_systems(const Scope *s, HoldTargets *targets) {
        for (size_t i = 0; i < s->n_mounts; i++) {
                /* All of one file system are together. */
                bool known = i > 0 && s->mounts[i - 1]->dev == s->mounts[i]->dev;
                int r = known ? 0 : hold_targets_add(targets, TARGET_FS, s->mounts[i]->dev, s->mounts[i]->target);
                if (r < 0)
                        return r;
        }
        return 0;
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

        int r = add_file_systems(s, &targets);
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

/* Does any rule have something to say about memory, which otherwise just moves? */
static bool rules_about_memory(json_object *rules) {
        for (size_t i = 0; i < json_len(rules); i++) {
                json_object *rule = json_at(rules, i), *kinds = json_array(rule, "kind");
                bool holds_up = holder_rule_has(rule, HOLDER_REFUSE) || holder_rule_has(rule, HOLDER_FREEZE);
                for (size_t j = 0; j < json_len(kinds) && holds_up; j++)
                        if (fnmatch(json_object_get_string(json_at(kinds, j)), "memory", 0) == 0)
                                return true;
                if (holds_up && json_len(kinds) == 0)
                        return true;
        }
        return false;
}

static json_object *nodes_json(const Scope *s) {
        json_object *nodes = json_object_new_array();

        for (size_t i = 0; i < s->n_nodes; i++)
                json_object_array_add(nodes, json_object_new_int(s->nodes[i]->id));
        return nodes;
}

static int add_freeze(Plan *p, const Scope *s, json_object *targets, const PlanRequest *request) {
        json_object *args = json_object_new_object();

        json_set(args, "targets", json_ref(targets));
        if (request->policy->force_kill)
                json_set_bool(args, "force_kill", true);
        json_set(args, "rules", json_ref(request->policy->rules));
        json_set(args, "ranges", storage_pages_json(s));
        json_set(args, "nodes", nodes_json(s));
        json_set_u64(args, "timeout_sec", FREEZE_TIMEOUT_SEC);
        return plan_add_step(p, STEP_FREEZE_HOLDERS, args);
}

static int add_end(Plan *p, const Topology *t, const Scope *s, json_object *targets, const HoldTargets *unmap, const PlanRequest *request) {
        json_object *args = json_object_new_object(), *shutdown = shutdown_entries(t, s, request);

        json_set(args, "targets", json_ref(targets));
        json_set(args, "rules", json_ref(request->policy->rules));
        json_set(args, "ranges", storage_pages_json(s));
        json_set_bool(args, "force_kill", request->policy->force_kill);
        if (json_len(shutdown) > 0)
                json_set(args, "shutdown", json_ref(shutdown));
        json_object_put(shutdown);
        if (unmap->n_items > 0)
                json_set(args, "unmap", hold_targets_to_json(unmap));
        return plan_add_step(p, STEP_END_HOLDERS, args);
}

int plan_add_end_of_holders(Plan *p, const Topology *t, const Scope *s, const PlanRequest *request) {
        _cleanup_(hold_targets_done) HoldTargets targets = { 0 }, unmap = { 0 };
        bool memory = s->n_nodes > 0 && rules_about_memory(request->policy->rules);

        int r = storage_targets(s, request, &targets);
        if (r < 0 || (targets.n_items == 0 && !memory))
                return r;
        _cleanup_json_ json_object *array = hold_targets_to_json(&targets);
        r = add_freeze(p, s, array, request);
        if (r >= 0)
                r = unmap_targets(t, s, request, &targets, &unmap);
        return r < 0 || targets.n_items == 0 ? r : add_end(p, t, s, array, &unmap, request);
}

int plan_add_thaw(Plan *p) {
        for (size_t i = 0; i < p->n_steps; i++)
                if (p->steps[i].type == STEP_FREEZE_HOLDERS) {
                        json_object *args = json_object_new_object();
                        json_set_u64(args, "of", i);
                        return plan_add_step(p, STEP_THAW_HOLDERS, args);
                }
        return 0;
}
