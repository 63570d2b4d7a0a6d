/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/fileio.h"
#include "kernel/sysfs/attr.h"
#include "kernel/sysfs/fence.h"

#define PREFIX ".safe-remove."

/* "/dev/dax0.0" -> "/dev/.safe-remove.dax0.0" */
char *fence_hidden_name(const char *node) {
        const char *slash = strrchr(node, '/');

        return slash ? strf("%.*s/" PREFIX "%s", (int) (slash - node), node, slash + 1) : NULL;
}

static int number_of(const char *path, dev_t *ret) {
        struct stat st;

        if (lstat(path, &st) < 0)
                return -errno;
        if (!S_ISCHR(st.st_mode))
                return -ESTALE;
        *ret = st.st_rdev;
        return 0;
}

static bool is_alive(dev_t dev) {
        return path_existsf("/sys/dev/char/%u:%u", major(dev), minor(dev));
}

int fence_hide(const char *node, dev_t dev) {
        _cleanup_free_ char *hidden = fence_hidden_name(node);
        dev_t found = 0;

        if (!hidden)
                return -EINVAL;
        fence_sweep();
        int r = number_of(node, &found);
        if (r >= 0 && found != dev)
                r = -ESTALE;
        if (r < 0)
                return r;
        return renameat2(AT_FDCWD, node, AT_FDCWD, hidden, RENAME_NOREPLACE) < 0 ? -errno : 0;
}

/* A driver that is bound anew makes a new node (drivers/dax/device.c:dev_dax_probe). The old one has the owner and the rights that it was given. */
static bool is_same_device(const char *node, const char *hidden) {
        dev_t one, other;

        return number_of(node, &one) >= 0 && number_of(hidden, &other) >= 0 && one == other;
}

int fence_show(const char *node) {
        _cleanup_free_ char *hidden = fence_hidden_name(node);

        if (!hidden)
                return -EINVAL;
        fence_sweep();
        unsigned flags = is_same_device(node, hidden) ? 0 : RENAME_NOREPLACE;
        if (renameat2(AT_FDCWD, hidden, AT_FDCWD, node, flags) < 0)
                return errno == ENOENT ? 0 : -errno;
        return 0;
}

bool fence_exists(const char *node) {
        _cleanup_free_ char *hidden = fence_hidden_name(node);

        return hidden && access(hidden, F_OK) == 0;
}

char *fence_known_name(const char *path) {
        const char *name = startswith(path, "/dev/" PREFIX);

        return name ? strf("/dev/%s", name) : strdup(path);
}

void fence_sweep(void) {
        _cleanup_(closedirp) DIR *d = opendir("/dev");

        for (struct dirent *e; d && (e = readdir(d));) {
                if (!startswith(e->d_name, PREFIX))
                        continue;
                _cleanup_free_ char *path = strf("/dev/%s", e->d_name);
                dev_t dev = 0;

                if (path && number_of(path, &dev) >= 0 && !is_alive(dev))
                        (void) unlink(path);
        }
}
