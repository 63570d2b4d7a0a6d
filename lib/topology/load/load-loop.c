/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What loop devices stand on. */
#include <errno.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/fileio.h"
#include "kernel/block/loop.h"
#include "kernel/block/swap.h"
#include "kernel/sysfs/public-path.h"
#include "topology/load/load.h"

/* The kernel tells a file of its own (a loop device's, swap) by the name that it has in the namespace of whoever gave it. Where nobody can
 * be asked for its numbers, it may be the file of that name in any of them. */

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

/* adds this use to all file systems on devices, but for the known one, that the file `on` may lie on in some namespace. 0 or
 * -ENOMEM. */
static int load_other_places(Topology *t, const KernelUser *user, dev_t known) {
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

static int stand_on_device(BlockDevice *loop, const BlockDevice *b) {
        return b ? strings_add(&loop->lower, &loop->n_lower, &loop->a_lower, b->name) : 0;
}

static const Mount *mount_by_name(const Topology *t, const char *path) {
        return path ? topology_mount_of_path(t, topology_host_ns(t), path) : NULL;
}

static int read_by_name(Topology *t, BlockDevice *loop) {
        const BlockDevice *device = loop->label ? topology_block_device_of_path(t, loop->label) : NULL;
        const Mount *m = mount_by_name(t, loop->label);

        if (device)
                return stand_on_device(loop, device);
        loop->backing = m ? m->dev : 0;
        /* Its name is all that is known. */
        _cleanup_free_ char *evidence = strf("/sys/block/%s/loop/backing_file", loop->name), *remedy = strf("losetup -d /dev/%s  # once it is mounted nowhere", loop->name);
        const KernelUser user = { .kind = KERNEL_USER_FILE, .who = loop->name, .on = loop->label, .evidence = evidence, .remedy = remedy };
        if (!evidence || !remedy)
                return -ENOMEM;
        return loop->label ? load_other_places(t, &user, loop->backing) : 0;
}

static int read_loop(Topology *t, BlockDevice *loop, const LoopFile *file) {
        if (!file)
                return read_by_name(t, loop);
        if (file->node != 0)
                return stand_on_device(loop, topology_block_device_at(t, file->node));
        loop->backing = file->device;
        if (major(file->device) != 0 || topology_file_system(t, file->device))
                return 0;
        /* What stat() tells of these file systems' files is not what their mounts have. */
        const Mount *m = mount_by_name(t, loop->label);
        if (m && (streq(m->type, "btrfs") || streq(m->type, "bcachefs") || streq(m->type, "overlay")))
                loop->backing = m->dev;
        return 0;
}

/* loop_wanted_t: whom nobody may have to wait for. (A path leads elsewhere in another namespace: that asking has an end all the same.) */
static bool may_be_asked(const char *name, const char *path, void *userdata) {
        const Topology *t = userdata;
        const Mount *m = mount_by_name(t, path);
        /* Nodes of devices that somebody made in a place of his own are there as well. */
        bool in_memory = m && (streq(m->type, "tmpfs") || streq(m->type, "ramfs") || streq(m->type, "devtmpfs"));

        return !m || in_memory || topology_file_system(t, m->dev) || file_system_answers(m->type);
}

int load_loops(Topology *t) {
        _cleanup_loop_files_ LoopFiles files = { 0 };

        int r = loop_files_load(&files, may_be_asked, t);
        if (r == -ENOMEM)
                return r;
        for (size_t i = 0; i < t->n_block_devices; i++) {
                BlockDevice *b = &t->block_devices[i];
                if (b->kind != BLOCK_LOOP)
                        continue;
                r = read_loop(t, b, loop_files_find(&files, b->name));
                /* Its path alone may lead elsewhere: a plan asks whether it could be the card's. */
                if (r >= 0 && b->label && loop_files_unasked(&files, b->name))
                        r = odd_addf(t, -ETIME, "/sys/class/block/%s/loop/backing_file", b->name);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* Is the file of that name one that swap can be in? */
static bool fits(const Topology *t, const Swap *s) {
        struct stat st;

        return topology_file_system(t, s->dev) && stat(s->path, &st) >= 0 && S_ISREG(st.st_mode) && (uint64_t) st.st_size >= s->size;
}

static int swap_by_name(Topology *t, const Swap *s) {
        _cleanup_free_ char *quoted = shell_quoted(s->path), *remedy = strf("swapoff %s", quoted ?: "");
        char who[] = "swap", evidence[] = "/proc/swaps";
        const KernelUser user = { .kind = KERNEL_USER_FILE, .who = who, .on = s->path, .evidence = evidence, .remedy = remedy };

        return remedy ? load_other_places(t, &user, s->dev) : -ENOMEM;
}

static int add_swap(Topology *t, SwapEntry *e) {
        Swap *s = TOPOLOGY_ADD(t, swaps);
        if (!s)
                return -ENOMEM;

        *s = (Swap) { .path = TAKE_PTR(e->path), .file = e->file, .size = e->size, .used = e->used, .priority = e->priority };
        if (s->file) {
                const Mount *m = topology_mount_of_path(t, topology_host_ns(t), s->path);
                s->dev = m ? m->dev : 0;
                return fits(t, s) ? 0 : swap_by_name(t, s);
        } else {
                const BlockDevice *b = topology_block_device_of_path(t, s->path);
                s->dev = b ? b->dev : 0;
        }
        return 0;
}

int load_swaps(Topology *t) {
        _cleanup_swap_entries_ SwapEntries l = { 0 };
        _cleanup_free_ char *text = NULL;

        int r = read_file("/proc/swaps", &text, NULL);
        if (r >= 0)
                r = swaps_parse(text, &l);
        if (r < 0 && r != -ENOENT)
                r = odd_add(t, r, "/proc/swaps");
        for (size_t i = 0; i < l.n_items && r != -ENOMEM; i++)
                r = add_swap(t, &l.items[i]);
        return r == -ENOMEM ? r : 0;
}
