/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which file systems a removal shuts down where their users do not go (--force=shutdown, ShutdownFileSystems=), and what that costs. */
#include <errno.h>

#include "kernel/mounts/mount-options.h"
#include "plan/find/blockers.h"
#include "plan/plan-storage.h"
#include "plan/policy-rules.h"

enum {
        STACK_DEPTH_MAX = 16,
};

/* What the rules say where the machine itself has it mounted; a mount point in somebody's own namespace is anybody's word. */
static int rules_say(const Topology *t, const Scope *s, const Policy *policy, dev_t dev, const char **ret_from) {
        uint64_t host = topology_host_ns(t);
        int said = -ENOENT;

        for (size_t i = 0; i < s->n_mounts; i++) {
                const char *from = NULL;
                if (s->mounts[i]->dev != dev || s->mounts[i]->ns != host)
                        continue;
                int r = policy_mount_shutdown(policy->mount_rules, s->mounts[i]->target, &from);
                if (r < 0 || said == 0)
                        continue;
                said = r;
                *ret_from = from;
        }
        return said;
}

/* 0, -ENOENT, or -EOPNOTSUPP where the word is given and a rule says no. */
static int is_wanted(const Topology *t, const Scope *s, const Policy *policy, dev_t dev, char **ret_why) {
        const char *from = NULL;

        if (!policy->force_kill)
                return -ENOENT;
        int said = json_len(policy->mount_rules) > 0 ? rules_say(t, s, policy, dev, &from) : -ENOENT;
        if (said == 0 && policy->force_shutdown) {
                *ret_why = strf("%s says no", from ?: "the policy");
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

/* As kernel/fs-shutdown.h:fs_media_gone() asks the kernel right before it is done. */
static bool is_gone(const Topology *t, const char *name, unsigned depth) {
        const BlockDevice *b = topology_block_device(t, name);

        if (!b || depth == 0)
                return false;
        for (size_t i = 0; i < b->n_lower && b->size > 0; i++)
                if (!is_gone(t, b->lower[i], depth - 1))
                        return false;
        return b->size == 0 || b->n_lower > 0;
}

static bool media_gone(const Topology *t, dev_t dev) {
        const FileSystem *fs = topology_file_system(t, dev);

        for (size_t i = 0; fs && i < fs->n_devices; i++)
                if (!is_gone(t, fs->devices[i], STACK_DEPTH_MAX))
                        return false;
        return fs && fs->n_devices > 0;
}

int shutdown_check(const Topology *t, const Scope *s, const PlanRequest *request, const Mount *m, FsShutdown *ret, char **ret_why) {
        int r = is_wanted(t, s, request->policy, m->dev, ret_why);
        if (r >= 0)
                r = fs_shutdown_check(m->type, NULL, ret_why);
        if (r < 0)
                return r;
        *ret_why = mount_has_option(m->super_options, "ro") ? strf("it is mounted read-only, nobody waits to write to it") :
                   stands_on_it(t, s, m->dev);
        if (*ret_why)
                return -EOPNOTSUPP;
        *ret = media_gone(t, m->dev) ? FS_SHUTDOWN_NO_FLUSH : FS_SHUTDOWN_FLUSH;
        return 0;
}

const char *shutdown_word(const Topology *t, const Scope *s, const PlanRequest *request, const Mount *m) {
        _cleanup_free_ char *why = NULL;
        FsShutdown how = FS_SHUTDOWN_NO;

        if (shutdown_check(t, s, request, m, &how, &why) < 0)
                return "no";
        return how == FS_SHUTDOWN_NO_FLUSH ? "noflush" : "flush";
}

/* All of one file system are together. */
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

static void cannot_finding(Findings *f, const Mount *m, const char *why) {
        json_object *o = finding(f, BLOCKER_CANNOT_SHUT_DOWN, false, "%s (%s on %s) cannot be shut down: %s", m->target, m->type, m->source, why);

        json_set_strf(o, "evidence", "its users are ended as with --force=kill; who hangs in the kernel for it is in the way");
        _cleanup_free_ char *target = shell_quoted(m->target);
        finding_remedy(o, "fuser -vm %s  # who uses it", target);
}

void find_shutdown(Findings *f) {
        for (size_t i = 0; i < f->s->n_mounts && f->request->policy->force_kill; i++) {
                _cleanup_free_ char *why = NULL;
                FsShutdown how;
                if (!is_first(f->s, i))
                        continue;
                int r = shutdown_check(f->t, f->s, f->request, f->s->mounts[i], &how, &why);
                if (r >= 0)
                        cost_finding(f, f->s->mounts[i], how);
                else if (r != -ENOENT)
                        cannot_finding(f, f->s->mounts[i], why);
        }
}
