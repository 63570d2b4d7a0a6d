/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <ctype.h>
#include <errno.h>
#include <glob.h>

#include "kernel/attr.h"
#include "kernel/listing.h"
#include "kernel/served-block.h"

/* The kernel names the thread that waits for the end of it (drivers/block/nbd.c:pid_show). */
static int find_nbd(int pid, char **ret) {
        glob_t g = { 0 };

        int q = glob("/sys/class/block/nbd*/pid", 0, NULL, &g), r = q == GLOB_NOSPACE ? -ENOMEM : 0;
        for (size_t i = 0; q == 0 && r >= 0 && !*ret && i < g.gl_pathc; i++) {
                const char *name = g.gl_pathv[i] + strlen("/sys/class/block/");
                uint64_t thread;

                if (attr_read_u64f(&thread, "%s", g.gl_pathv[i]) < 0 || !path_existsf("/proc/%d/task/%ju", pid, (uintmax_t) thread))
                        continue;
                *ret = strndup(name, strcspn(name, "/"));
                r = *ret ? 0 : -ENOMEM;
        }
        globfree(&g);
        return r;
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
        char *name = NULL;

        int r = find_nbd(pid, &name);
        if (r >= 0 && !name)
                r = find_ublk(pid, &name);
        if (r < 0)
                return r;
        *ret = name;
        return 0;
}
