/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "holders/scan/dead-file.h"
#include "kernel/mounts/mount-ns.h"

bool file_is_dead(int error) {
        return error == -EIO || error == -ESHUTDOWN || error == -EACCES;
}

/* Only plain files and folders have attributes of users: the kernel asks the file system for no others (fs/xattr.c:xattr_permission), and
 * it is the file system that refuses. */
static bool is_special(int fd) {
        _cleanup_free_ char *path = strf("/proc/self/fd/%d", fd);

        return !path || getxattr(path, "user.safe-remove", NULL, 0) >= 0 || !file_is_dead(-errno);
}

int dead_file_look(int at, const char *name, DeadFile *ret) {
        _cleanup_close_ int fd = openat(at, name, O_PATH | O_CLOEXEC);
        _cleanup_close_ int proc = fd < 0 ? -EBADF : open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
        DeadFile f = { 0 };
        struct statx st;

        int r = proc < 0 ? -errno : mount_id_of(proc, fd, &f.mount_id);
        if (r < 0)
                return r;
        f.special = is_special(fd);
        if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, 0, &st) >= 0)
                f.dev = makedev(st.stx_dev_major, st.stx_dev_minor);
        *ret = f;
        return 0;
}
