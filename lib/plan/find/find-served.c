/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A process that has something of the card's may be a disk to others (qemu-nbd with an image on it). It is ended like any user, and then their
 * file system has nothing below it. */
#include "kernel/users/served-block.h"
#include "plan/find/blockers.h"

/* What is on the device, for a person; NULL: nothing that is known. */
static const char *use_of(const Findings *f, const BlockDevice *b) {
        for (size_t i = 0; i < f->t->n_file_systems; i++)
                for (size_t j = 0; j < f->t->file_systems[i].n_devices; j++)
                        if (streq(f->t->file_systems[i].devices[j], b->name))
                                return f->t->file_systems[i].type;
        for (size_t i = 0; i < f->t->n_swaps; i++)
                if (!f->t->swaps[i].file && f->t->swaps[i].dev == b->dev)
                        return "swap";
        return NULL;
}

static bool stands_on(const BlockDevice *upper, const BlockDevice *lower) {
        for (size_t i = 0; i < upper->n_lower; i++)
                if (streq(upper->lower[i], lower->name))
                        return true;
        return false;
}

/* Its partitions, and what was made of it, count as well. */
static const char *use_of_all(const Findings *f, const BlockDevice *b) {
        const char *use = use_of(f, b);

        for (size_t i = 0; i < f->t->n_block_devices && !use; i++) {
                const BlockDevice *upper = &f->t->block_devices[i];
                if (stands_on(upper, b))
                        use = upper->kind == BLOCK_PARTITION ? use_of(f, upper) : upper->name;
        }
        return use;
}

int find_served(Findings *f, int pid, const char *program) {
        _cleanup_free_ char *name = NULL;

        int r = served_block_of(pid, &name);
        const BlockDevice *b = r >= 0 && name ? topology_block_device(f->t, name) : NULL;
        const char *use = b ? use_of_all(f, b) : NULL;
        if (!use)
                return r;
        json_object *o = finding(f, BLOCKER_KERNEL_USER, true, "process %d (%s) uses the card and serves %s out of it, which is in use (%s)", pid,
                                 program, name, use);
        json_set_strf(o, "evidence", startswith(name, "nbd") ? "/sys/block/%s/pid" : "it has the other side of %s open", name);
        finding_remedy(o, "umount -A /dev/%s  # or whatever else uses it: lsblk /dev/%s", name, name);
        return 0;
}
