/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Mount namespaces that nobody is in, on kernels that do not list them: by what keeps them, which is a bind mount of their nsfs
 * file or a descriptor of it. One that is kept from within another such namespace, or by a descriptor that is on its way through
 * a socket, is not found. */
#include <errno.h>
#include <fcntl.h>

#include "base/clock.h"
#include "base/fileio.h"
#include "kernel/mounts/mount-ns-budget.h"
#include "kernel/sysfs/listing.h"

enum {
        KEPT_MSEC = 2000, /* anybody may have a million descriptors */
};

/* The folder of the process or thread that a path of a namespace goes through, or NULL. */
static char *process_folder(const char *path) {
        const char *end = path ? strstr(path, "/ns/mnt") : NULL;

        return end ? strndup(path, (size_t) (end - path)) : NULL;
}

/* A bind mount of a namespace's file: its type is nsfs, and what is mounted is called "mnt:[4026532365]". */
static int add_bind_mounts(MountNsList *l, const char *folder, size_t max) {
        _cleanup_free_ char *path = strf("%s/mountinfo", folder), *text = NULL;
        _cleanup_mount_entries_ MountEntries mounts = { 0 };

        int r = path ? read_file_at_most(AT_FDCWD, path, max, &text, NULL) : -ENOMEM;
        if (r < 0)
                return r == -ENOMEM ? r : 0;
        r = mountinfo_parse(text, &mounts);
        for (size_t i = 0; i < mounts.n_items && r >= 0; i++) {
                const MountEntry *m = &mounts.items[i];
                uint64_t id;
                if (streq(m->type, "nsfs") && mount_ns_parse(m->root, &id) >= 0)
                        r = mount_ns_add(l, id, 0, strf("%s/root%s", folder, m->target));
        }
        return r;
}

static int add_descriptors(MountNsList *l, const char *pid, uint64_t deadline) {
        _cleanup_listing_ Listing fds = { 0 };

        l->cut = l->cut || now_monotonic() >= deadline;
        if (l->cut)
                return 0;

        /* A process that ended, or one whose descriptors nobody may see. */
        int r = listing_readf(&fds, "/proc/%s/fd", pid);
        if (r < 0)
                return r == -ENOMEM ? r : 0;
        for (size_t i = 0; i < fds.n && r >= 0; i++) {
                char *path = strf("/proc/%s/fd/%s", pid, fds.names[i]);
                uint64_t id;
                if (path && mount_ns_id(path, &id) >= 0)
                        r = mount_ns_add(l, id, 0, path);
                else {
                        r = path ? 0 : -ENOMEM;
                        free(path);
                }
        }
        return r;
}

int mount_ns_list_kept(MountNsList *l) {
        _cleanup_listing_ Listing processes = { 0 };
        const uint64_t deadline = now_monotonic() + KEPT_MSEC * USEC_PER_MSEC;
        size_t known = l->n_items;
        int r = 0;

        for (size_t i = 0; i < known && r >= 0 && !l->cut; i++) {
                _cleanup_free_ char *folder = process_folder(l->items[i].path);
                r = folder ? add_bind_mounts(l, folder, i == 0 ? MOUNT_NS_WHOLE_TABLE_BYTES : MOUNT_NS_TABLE_BYTES) : 0;
                l->cut = now_monotonic() >= deadline;
        }
        if (r >= 0)
                r = listing_readf(&processes, "/proc");
        for (size_t i = 0; i < processes.n && r >= 0; i++)
                if (processes.names[i][0] >= '0' && processes.names[i][0] <= '9')
                        r = add_descriptors(l, processes.names[i], deadline);
        return r;
}
