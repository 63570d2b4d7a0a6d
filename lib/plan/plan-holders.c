/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who may hold something on the card, and the steps that make them let go. They are in a plan whenever there is anything that
 * could be held, not only when somebody was seen to hold it: whoever comes between the plan and the act is found by the step. */
#include <errno.h>
#include <fnmatch.h>
#include <sys/sysmacros.h>

#include "holders/holder-rule.h"
#include "holders/holder.h"
#include "kernel/mounts/mount-options.h"
#include "kernel/mounts/xfs.h"
#include "kernel/sysfs/quirks.h"
#include "plan/find/blockers.h"
#include "plan/plan-storage.h"
#include "plan/policy-rules.h"

enum {
        FREEZE_TIMEOUT_SEC = 30,
};

/* What of the card a process can have mapped, and the kernel take from it (--force=unmap, ForceUnmap=). */

/* The kernel asks whoever has the whole device for itself, which no partition, volume or second device may stand between. */
static bool is_told(const Topology *t, const Scope *s, const Mount *m) {
        const FileSystem *fs = topology_file_system(t, m->dev);

        if (!streq(m->type, "xfs") || !fs || fs->n_devices != 1)
                return false;
        for (size_t i = 0; i < s->n_namespaces; i++)
                if (streq_ptr(s->namespaces[i]->block, fs->devices[0]) && streq(s->namespaces[i]->mode, "fsdax"))
                        return xfs_has_reverse_map(fs->devices[0]) > 0;
        return false;
}

static int fs_can(const Topology *t, const Scope *s, const HoldTarget *target, char **ret_why) {
        for (size_t i = 0; i < s->n_mounts; i++) {
                const Mount *m = s->mounts[i];
                if (m->dev != target->dev)
                        continue;
                if (!mount_has_option(m->super_options, "dax=always"))
                        break;
                return forced_unmap_check(is_told(t, s, m) ? FORCED_XFS : FORCED_FSDAX, NULL, ret_why);
        }
        *ret_why = strf("%s is not mounted with dax=always: its files can be mapped elsewhere than on the card", target->name);
        return -EOPNOTSUPP;
}

int unmap_check(const Topology *t, const Scope *s, const HoldTarget *target, char **ret_why) {
        switch (target->kind) {
        case TARGET_CHAR:
                for (size_t i = 0; i < s->n_daxes; i++)
                        if (s->daxes[i]->dev == target->dev && dax_is_mapped(s->daxes[i]))
                                return forced_unmap_check(FORCED_DEVICE_DAX, NULL, ret_why);
                break;
        case TARGET_FS:
                return fs_can(t, s, target, ret_why);
        case TARGET_FILE:
                *ret_why = strf("%s can only be removed with its PCI function", target->name);
                return -EOPNOTSUPP;
        default:
                break;
        }
        *ret_why = strf("processes cannot map %s", target->name);
        return -EOPNOTSUPP;
}

static int unmap_targets(const Topology *t, const Scope *s, const PlanRequest *request, const HoldTargets *targets, HoldTargets *ret) {
        HoldTargets can = { 0 };
        int r = 0;

        for (size_t i = 0; request->policy->force_unmap && i < targets->n_items && r >= 0; i++) {
                const HoldTarget *target = &targets->items[i];
                _cleanup_free_ char *why = NULL;
                if (unmap_check(t, s, target, &why) >= 0)
                        r = hold_targets_add(&can, target->kind, target->dev, target->name);
        }
        if (r < 0) {
                hold_targets_done(&can);
                return r;
        }
        *ret = can;
        return 0;
}

bool unmap_wanted(const Topology *t, const Scope *s, const PlanRequest *request, const Mount *m) {
        const HoldTarget target = { .kind = TARGET_FS, .dev = m->dev, .name = m->target };
        _cleanup_free_ char *why = NULL;

        return request->policy->force_unmap && unmap_check(t, s, &target, &why) >= 0;
}

/* Which file systems a removal shuts down where their users do not go (--force=shutdown, ShutdownFileSystems=), and what that costs. */

enum {
        STACK_DEPTH_MAX = 16,
};

/* What the rules say where the machine itself has it mounted; a mount point in somebody's own namespace is anybody's word. */
static int rules_say(const Topology *t, const Scope *s, const Policy *policy, dev_t dev, json_object **ret_rule) {
        uint64_t host = topology_host_ns(t);
        int said = -ENOENT;

        for (size_t i = 0; i < s->n_mounts; i++) {
                json_object *rule = NULL;
                if (s->mounts[i]->dev != dev || s->mounts[i]->ns != host)
                        continue;
                int r = policy_mount_shutdown(policy->mount_rules, s->mounts[i]->target, &rule);
                if (r < 0 || said == 0)
                        continue;
                said = r;
                *ret_rule = rule;
        }
        return said;
}

/* 0, -ENOENT, or -EOPNOTSUPP where the word is given and a rule says no. */
static int is_wanted(const Topology *t, const Scope *s, const Policy *policy, dev_t dev, char **ret_why) {
        json_object *rule = NULL;

        if (!policy->force_kill)
                return -ENOENT;
        int said = json_len(policy->mount_rules) > 0 ? rules_say(t, s, policy, dev, &rule) : -ENOENT;
        if (said == 0 && policy->force_shutdown) {
                *ret_why = json_flag(rule, "unusable") ? strdup(holder_rule_reason(rule)) : strf("%s says no", json_str(rule, "from") ?: "the policy");
                return -EOPNOTSUPP;
        }
        return said > 0 || policy->force_shutdown || (said < 0 && policy->shutdown_file_systems) ? 0 : -ENOENT;
}

/* What has its bytes in files of it has some in memory that no sync of this one writes. */
static char *stands_on_it(const Topology *t, const Scope *s, dev_t dev) {
        for (size_t i = 0; i < t->n_block_devices; i++)
                if (t->block_devices[i].kind == BLOCK_LOOP && t->block_devices[i].backing == dev)
                        return strf("/dev/%s stands on it", t->block_devices[i].name);
        for (size_t i = 0; i < s->n_swaps; i++)
                if (s->swaps[i]->file && s->swaps[i]->dev == dev)
                        return strf("%s is swapped to", s->swaps[i]->path);
        for (size_t i = 0; i < t->n_file_systems; i++)
                for (size_t j = 0; j < t->file_systems[i].n_layers; j++)
                        if (t->file_systems[i].layers[j] == dev)
                                return strf("an overlay lies on it");
        return NULL;
}

/* As kernel/mounts/fs-shutdown.h:fs_media_gone() asks the kernel right before it is done. */
static bool is_gone(const Topology *t, const char *name, unsigned depth) {
        const BlockDevice *b = topology_block_device(t, name);

        if (!b || depth == 0)
                return false;
        for (size_t i = 0; i < b->n_lower; i++)
                if (!is_gone(t, b->lower[i], depth - 1))
                        return false;
        return b->size == 0 || b->n_lower > 0;
}

int shutdown_check(const Topology *t, const Scope *s, const PlanRequest *request, const Mount *m, FsShutdown *ret, char **ret_why) {
        int r = is_wanted(t, s, request->policy, m->dev, ret_why);
        if (r >= 0)
                r = fs_shutdown_check(m->type, NULL, ret_why);
        if (r < 0)
                return r;
        *ret_why = mount_has_option(m->super_options, "ro") ? strf("it is mounted read-only, so nobody waits to write to it") :
                   stands_on_it(t, s, m->dev);
        if (*ret_why)
                return -EOPNOTSUPP;
        const FileSystem *fs = topology_file_system(t, m->dev);
        bool gone = fs && fs->n_devices > 0;
        for (size_t i = 0; gone && i < fs->n_devices; i++)
                gone = is_gone(t, fs->devices[i], STACK_DEPTH_MAX);
        *ret = gone ? FS_SHUTDOWN_NO_FLUSH : FS_SHUTDOWN_FLUSH;
        return 0;
}

const char *shutdown_word(const Topology *t, const Scope *s, const PlanRequest *request, const Mount *m) {
        _cleanup_free_ char *why = NULL;
        FsShutdown how = FS_SHUTDOWN_NO;

        if (shutdown_check(t, s, request, m, &how, &why) < 0)
                return "no";
        return how == FS_SHUTDOWN_NO_FLUSH ? "noflush" : "flush";
}

json_object *storage_unmount_args(const Topology *t, const Scope *s, const PlanRequest *request, size_t place) {
        const Mount *first = s->mounts[place];
        json_object *args = json_object_new_object(), *fs = json_object_new_object(), *mounts = json_object_new_array();

        json_set_strf(fs, "dev", "%u:%u", major(first->dev), minor(first->dev));
        json_set_str(fs, "type", first->type);
        json_set_str(fs, "source", first->source);
        json_set_str(fs, "super_options", first->super_options);
        /* All of one file system are together. */
        for (size_t i = place; i < s->n_mounts && s->mounts[i]->dev == first->dev; i++) {
                const Mount *m = s->mounts[i];
                json_object *o = json_object_new_object();
                json_set_u64(o, "ns", m->ns);
                json_set_u64(o, "pid", (uint64_t) m->pid);
                json_set_str(o, "ns_path", m->ns_path);
                json_set_str(o, "target", m->target);
                json_set_str(o, "root", m->root);
                json_set_str(o, "options", m->options);
                json_set_str(o, "propagation", m->propagation);
                json_object_array_add(mounts, o);
        }
        json_set(args, "fs", fs);
        json_set(args, "mounts", mounts);
        json_set_str(args, "shutdown", shutdown_word(t, s, request, first));
        if (unmap_wanted(t, s, request, first))
                json_set_bool(args, "leave_mapped", true);
        return args;
}

static bool is_first(const Scope *s, size_t n) {
        return n == 0 || s->mounts[n - 1]->dev != s->mounts[n]->dev;
}

bool shutdown_of_target(const Topology *t, const Scope *s, const PlanRequest *request, const HoldTarget *target) {
        if (!request->policy->force_kill || target->kind != TARGET_FS)
                return false;
        for (size_t i = 0; i < s->n_mounts; i++)
                if (s->mounts[i]->dev == target->dev)
                        return !streq(shutdown_word(t, s, request, s->mounts[i]), "no");
        return false;
}

json_object *shutdown_entries(const Topology *t, const Scope *s, const PlanRequest *request) {
        json_object *entries = json_object_new_array();

        for (size_t i = 0; i < s->n_mounts && request->policy->force_kill; i++)
                if (is_first(s, i) && !streq(shutdown_word(t, s, request, s->mounts[i]), "no"))
                        json_object_array_add(entries, storage_unmount_args(t, s, request, i));
        return entries;
}

static void cost_finding(Findings *f, const Mount *m, FsShutdown how) {
        bool flush = how == FS_SHUTDOWN_FLUSH;
        json_object *o = finding(f, BLOCKER_FS_SHUTDOWN, false, "%s (%s on %s) is shut down if its users do not go in their time: %s, then they get "
                                 "errors and are ended", m->target, m->type, m->source, flush ? "all that was written to it is written back, "
                                 "what programs have not written yet is lost" : "its device is gone, what was not written to that is lost");

        json_set_strf(o, "evidence", "%s", f->request->policy->force_shutdown ? "the request has --force=shutdown" :
                      "the request has --force=kill, and ShutdownFileSystems=yes in the policy");
        _cleanup_free_ char *target = shell_quoted(m->target);
        finding_remedy(o, "fuser -vm %s  # who uses it; without them it is just unmounted", target);
}

void find_shutdown(Findings *f) {
        for (size_t i = 0; i < f->s->n_mounts && f->request->policy->force_kill; i++) {
                _cleanup_free_ char *why = NULL;
                const Mount *m = f->s->mounts[i];
                FsShutdown how;
                if (!is_first(f->s, i))
                        continue;
                int r = shutdown_check(f->t, f->s, f->request, m, &how, &why);
                if (r >= 0)
                        cost_finding(f, m, how);
                if (r >= 0 || r == -ENOENT)
                        continue;
                json_object *o = finding(f, BLOCKER_CANNOT_SHUT_DOWN, false, "%s (%s on %s) cannot be shut down: %s", m->target, m->type, m->source, why);
                json_set_strf(o, "evidence", "its users are ended as with --force=kill; a user that hangs in the kernel blocks the removal");
                _cleanup_free_ char *target = shell_quoted(m->target);
                finding_remedy(o, "fuser -vm %s  # who uses it", target);
        }
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

static int add_freeze(Plan *p, const Scope *s, json_object *targets, const PlanRequest *request) {
        json_object *args = json_object_new_object(), *nodes = json_object_new_array();

        for (size_t i = 0; i < s->n_nodes; i++)
                json_object_array_add(nodes, json_object_new_int(s->nodes[i]->id));
        json_set(args, "targets", json_ref(targets));
        if (request->policy->force_kill)
                json_set_bool(args, "force_kill", true);
        json_set(args, "rules", json_ref(request->policy->rules));
        json_set(args, "ranges", storage_pages_json(s));
        json_set(args, "nodes", nodes);
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
        bool memory = s->n_nodes > 0 && (rules_about_memory(request->policy->rules) || (request->declared && request->declared()));

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
