/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the kernel uses by itself, tied to the devices and file systems of the topology. */
#include <errno.h>
#include <sys/stat.h>

#include "base/parse.h"
#include "kernel/sysfs/attr.h"
#include "kernel/sysfs/listing.h"
#include "topology/load/load.h"

#define EXT4 "/sys/fs/ext4"

static int set_block(KernelUse *u, const BlockDevice *b) {
        u->block = strdup(b->name);
        return u->block ? 0 : -ENOMEM;
}

/* The function that a device in sysfs is on, or is. */
static int follow_device(KernelUse *u, const char *path) {
        _cleanup_free_ char *line = NULL;
        bool has_domain;

        int r = link_readf(&line, "%s", path);
        if (r < 0)
                return r == -ENOMEM ? r : 0;
        r = -EINVAL;
        for (unsigned level = 0; r == -EINVAL; level++) {
                _cleanup_free_ char *name = ancestor(line, level);
                r = name ? parse_bdf(name, &u->bdf, &has_domain) : 0;
        }
        return r;
}

/* Only a file system of this machine's own devices is asked, where a link leads on: others might not answer. */
static dev_t file_system_of(const Topology *t, const Mount *m, const char *path) {
        const FileSystem *fs = topology_file_system(t, m->dev);
        struct stat st;

        if (fs && stat(path, &st) >= 0 && topology_file_system(t, st.st_dev))
                return st.st_dev;
        return fs ? m->dev : 0;
}

static int follow_path(const Topology *t, KernelUse *u, const char *path) {
        const BlockDevice *b = topology_block_device_of_path(t, path);
        const char *node = startswith(path, "/dev/");

        if (b)
                return set_block(u, b);
        if (node) {
                /* "/dev/nvme0": what is passed through to a controller can reach all that it has. */
                int r = link_namef(&u->bdf, "/sys/class/nvme/%s/device", node);
                return r == -ENOMEM ? r : 0;
        }
        if (u->user.kind == KERNEL_USER_DEVICE || u->user.kind == KERNEL_USER_WORK)
                return follow_device(u, path);
        const Mount *m = topology_mount_of_path(t, topology_host_ns(t), path);
        if (!m)
                return 0;
        u->file_system = file_system_of(t, m, path);
        u->elsewhere = u->file_system == 0;
        return 0;
}

static int follow(const Topology *t, KernelUse *u) {
        const BlockDevice *b = u->user.dev ? topology_block_device_at(t, u->user.dev) : NULL;

        if (!b && u->user.on && u->user.on[0] != '/')
                b = topology_block_device(t, u->user.on);
        if (b)
                return set_block(u, b);
        return u->user.on && u->user.on[0] == '/' ? follow_path(t, u, u->user.on) : 0;
}

/* The thread that writes a file system's journal is named after the device that this is on (fs/jbd2/journal.c:jbd2_journal_start_thread). */
static bool has_journal_on(const char *name, const char *journal) {
        _cleanup_free_ char *pid = NULL, *comm = NULL, *wanted = strf("jbd2/%s", journal);

        return wanted && attr_readf(&pid, EXT4 "/%s/journal_task", name) >= 0 && attr_readf(&comm, "/proc/%s/comm", pid) >= 0 &&
               streq(comm, wanted);
}

/* A file system stands on its journal as well. */
static int tie_journal(Topology *t, const char *journal) {
        for (size_t i = 0; i < t->n_file_systems; i++) {
                FileSystem *fs = &t->file_systems[i];
                if (fs->n_devices == 1 && startswith(fs->type, "ext") && has_journal_on(fs->devices[0], journal))
                        return strings_add(&fs->devices, &fs->n_devices, &fs->a_devices, journal);
        }
        return 0;
}

/* What is stored in zram lies on its backing device in part. */
static int tie_zram(Topology *t, const KernelUse *u) {
        BlockDevice *b = u->block ? topology_own(t, topology_block_device(t, u->user.who)) : NULL;

        return b ? strings_add(&b->lower, &b->n_lower, &b->a_lower, u->block) : 0;
}

static int tie(Topology *t, const KernelUse *u) {
        switch (u->user.kind) {
        case KERNEL_USER_JOURNAL:
                return u->block ? tie_journal(t, u->block) : 0;
        case KERNEL_USER_ZRAM:
                return tie_zram(t, u);
        default:
                return 0;
        }
}

int load_kernel_users(Topology *t) {
        _cleanup_kernel_users_ KernelUsers users = { 0 };

        int r = kernel_users_read(&users);
        if (r < 0)
                r = odd_add(t, r, "/proc/1/mountinfo");
        for (size_t i = 0; i < users.n_items && r >= 0; i++) {
                KernelUse *u = TOPOLOGY_ADD(t, uses);
                if (!u)
                        return -ENOMEM;
                u->user = users.items[i];
                users.items[i] = (KernelUser) { 0 };
                r = follow(t, u);
                if (r >= 0)
                        r = tie(t, u);
        }
        return r;
}
