/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What loop devices stand on. */
#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <sys/ioctl.h>

#include "topology/load.h"

/* The numbers that the kernel has of the open file, wherever its name leads by now. Asking makes the file's own system tell its
 * attributes (drivers/block/loop.c:loop_get_status), which one over a network may never do. */
static int ask(const char *name, struct loop_info64 *ret) {
        _cleanup_free_ char *path = strf("/dev/%s", name);
        if (!path)
                return -ENOMEM;

        _cleanup_close_ int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
        if (fd < 0)
                return -errno;
        return ioctl(fd, LOOP_GET_STATUS64, ret) < 0 ? -errno : 0;
}

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

static int read_loop(Topology *t, BlockDevice *loop) {
        const BlockDevice *device = loop->label ? topology_block_device_of_path(t, loop->label) : NULL;
        struct loop_info64 info = { 0 };

        if (device)
                return stand_on_device(loop, device);

        const Mount *m = loop->label ? topology_mount_of_path(t, topology_host_ns(t), loop->label) : NULL;
        if (m)
                loop->backing = m->dev;
        bool waits = m && !topology_file_system(t, m->dev) && !is_in_memory(m);
        int r = waits ? -EAGAIN : ask(loop->name, &info);
        if (r < 0)
                return r == -ENOMEM ? r : take_by_name(t, loop);
        if (info.lo_rdevice != 0)
                return stand_on_device(loop, topology_block_device_at(t, info.lo_rdevice));
        /* A subvolume of btrfs has a number of its own that no mount has; there the name is all we have. */
        if (topology_file_system(t, info.lo_device))
                loop->backing = info.lo_device;
        return 0;
}

int load_loops(Topology *t) {
        for (size_t i = 0; i < t->n_block_devices; i++) {
                int r = t->block_devices[i].kind == BLOCK_LOOP ? read_loop(t, &t->block_devices[i]) : 0;
                if (r < 0)
                        return r;
        }
        return 0;
}
