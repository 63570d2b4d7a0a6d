/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <ctype.h>
#include <errno.h>

#include "kernel/pci/device-places.h"
#include "kernel/sysfs/attr.h"
#include "kernel/sysfs/listing.h"
#include "kernel/users/served-block.h"

typedef struct Server {
        int pid;
        char *name;
} Server;

/* The kernel names the thread that waits for the end of it (drivers/block/nbd.c:pid_show). (place_visit_t) */
static int is_nbd_of(const char *path, void *userdata) {
        Server *s = userdata;
        uint64_t thread;

        if (s->name || attr_read_u64f(&thread, "%s", path) < 0 || !path_existsf("/proc/%d/task/%ju", s->pid, (uintmax_t) thread))
                return 0;
        s->name = path_part(path, 1);
        return s->name ? 0 : -ENOMEM;
}

/* Who serves ublkb0 has /dev/ublkc0 open (drivers/block/ublk_drv.c). */
static int find_ublk(int pid, char **ret) {
        _cleanup_listing_ Listing l = { 0 };

        int r = listing_readf(&l, "/proc/%d/fd", pid);
        if (r < 0)
                return r == -ENOMEM ? r : 0;
        for (size_t i = 0; i < l.n && !*ret; i++) {
                _cleanup_free_ char *target = NULL;
                const char *number = link_readf(&target, "/proc/%d/fd/%s", pid, l.names[i]) < 0 ? NULL : startswith(target, "/dev/ublkc");

                if (!number || !isdigit((unsigned char) *number))
                        continue;
                *ret = strf("ublkb%s", number);
                if (!*ret)
                        return -ENOMEM;
        }
        return 0;
}

int served_block_of(int pid, char **ret) {
        Server s = { .pid = pid };

        int r = places_visit("/sys/class/block/nbd*/pid", is_nbd_of, &s);
        if (r != -ENOMEM && !s.name)
                r = find_ublk(pid, &s.name);
        if (r == -ENOMEM)
                return r;
        *ret = s.name;
        return 0;
}
