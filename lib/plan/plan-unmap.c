/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What of the card a process can have mapped, and the kernel take from it (--force=unmap, ForceUnmap=). */
#include <errno.h>

#include "kernel/mounts/mount-options.h"
#include "kernel/mounts/xfs.h"
#include "kernel/sysfs/quirks.h"
#include "plan/plan-storage.h"

static int dax_can(const Scope *s, const HoldTarget *target, char **ret_why) {
        for (size_t i = 0; i < s->n_daxes; i++)
                if (s->daxes[i]->dev == target->dev && dax_is_mapped(s->daxes[i]))
                        return forced_unmap_check(FORCED_DEVICE_DAX, NULL, ret_why);
        *ret_why = strf("%s is no memory that processes map", target->name);
        return -EOPNOTSUPP;
}

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
                return dax_can(s, target, ret_why);
        case TARGET_FS:
                return fs_can(t, s, target, ret_why);
        case TARGET_FILE:
                *ret_why = strf("%s goes with its function only", target->name);
                return -EOPNOTSUPP;
        default:
                *ret_why = strf("%s is no memory that processes map", target->name);
                return -EOPNOTSUPP;
        }
}

int unmap_targets(const Topology *t, const Scope *s, const PlanRequest *request, const HoldTargets *targets, HoldTargets *ret) {
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
