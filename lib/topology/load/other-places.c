/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The kernel tells a file of its own (a loop device's, swap) by the name that it has in the namespace of whoever gave it. Where nobody can
 * be asked for its numbers, it may be the file of that name in any of them. */
#include <errno.h>

#include "topology/load/load.h"

/* The name leads there in that namespace only. */
static int add(Topology *t, const KernelUser *user, dev_t file_system, int pid) {
        KernelUse *u = TOPOLOGY_ADD(t, uses);
        if (!u)
                return -ENOMEM;

        u->file_system = file_system;
        u->user = (KernelUser) { .kind = user->kind, .who = strdup(user->who), .on = strdup(user->on), .evidence = strdup(user->evidence),
                                 .remedy = pid > 0 ? strf("nsenter -t %d -m %s", pid, user->remedy) : strdup(user->remedy) };
        return u->user.who && u->user.on && u->user.evidence && u->user.remedy ? 0 : -ENOMEM;
}

static bool is_told(const Topology *t, size_t first, dev_t file_system) {
        for (size_t i = first; i < t->n_uses; i++)
                if (t->uses[i].file_system == file_system)
                        return true;
        return false;
}

int load_other_places(Topology *t, const KernelUser *user, dev_t known) {
        size_t first = t->n_uses;
        int r = 0;

        for (size_t i = 0; i < t->n_mounts && r >= 0; i++) {
                const Mount *root = &t->mounts[i];
                /* Less privileged users have neither. */
                if (root->parent || root->foreign)
                        continue;
                const Mount *m = topology_mount_of_path(t, root->ns, user->on);
                const FileSystem *fs = m && m->dev != known ? topology_file_system(t, m->dev) : NULL;
                /* Swap and images of disks lie on disks: an overlay's upper folder is on another file system. */
                if (fs && fs->n_devices > 0 && !is_told(t, first, m->dev))
                        r = add(t, user, m->dev, m->pid);
        }
        return r;
}
