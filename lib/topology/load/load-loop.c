/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What loop devices stand on. */
#include <errno.h>
#include <sys/sysmacros.h>

#include "kernel/block/loop.h"
#include "kernel/sysfs/public-path.h"
#include "topology/load/load.h"

static int stand_on_device(BlockDevice *loop, const BlockDevice *b) {
        return b ? strings_add(&loop->lower, &loop->n_lower, &loop->a_lower, b->name) : 0;
}

/* Nobody has to be waited for. Nodes of devices that somebody made in a place of his own are there as well. */
static bool is_in_memory(const Mount *m) {
        return streq(m->type, "tmpfs") || streq(m->type, "ramfs") || streq(m->type, "devtmpfs");
}

/* Its name is all that is known. */
static int take_by_name(Topology *t, const BlockDevice *loop) {
        _cleanup_free_ char *evidence = strf("/sys/block/%s/loop/backing_file", loop->name), *remedy = strf("losetup -d /dev/%s  # once it is mounted nowhere", loop->name);
        const KernelUser user = { .kind = KERNEL_USER_FILE, .who = loop->name, .on = loop->label, .evidence = evidence, .remedy = remedy };

        if (!evidence || !remedy)
                return -ENOMEM;
        return loop->label ? load_other_places(t, &user, loop->backing) : 0;
}

/* What stat() tells of their files is not what their mounts have. */
static bool has_numbers_of_its_own(const Mount *m) {
        return streq(m->type, "btrfs") || streq(m->type, "bcachefs") || streq(m->type, "overlay");
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
        return take_by_name(t, loop);
}

static int read_loop(Topology *t, BlockDevice *loop, const LoopFile *file) {
        if (!file)
                return read_by_name(t, loop);
        if (file->node != 0)
                return stand_on_device(loop, topology_block_device_at(t, file->node));
        loop->backing = file->device;
        if (major(file->device) != 0 || topology_file_system(t, file->device))
                return 0;
        const Mount *m = mount_by_name(t, loop->label);
        if (m && has_numbers_of_its_own(m))
                loop->backing = m->dev;
        return 0;
}

/* loop_wanted_t: whom nobody may have to wait for. (A path leads elsewhere in another namespace: that asking has an end all the same.) */
static bool may_be_asked(const char *name, const char *path, void *userdata) {
        const Topology *t = userdata;
        const Mount *m = mount_by_name(t, path);

        return !m || topology_file_system(t, m->dev) || is_in_memory(m) || file_system_answers(m->type);
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
