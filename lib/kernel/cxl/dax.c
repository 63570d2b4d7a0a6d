/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <sys/sysmacros.h>

#include "base/fileio.h"
#include "kernel/cxl/dax.h"
#include "kernel/sysfs/attr.h"

int dax_find(uint64_t start, char **ret) {
        _cleanup_(closedirp) DIR *d = opendir("/sys/bus/dax/devices");
        if (!d)
                return errno == ENOENT ? -ENODEV : -errno;

        for (struct dirent *e; (e = readdir(d));) {
                uint64_t at;

                if (e->d_name[0] == '.')
                        continue;
                if (attr_read_u64f(&at, "/sys/bus/dax/devices/%s/resource", e->d_name) < 0 || at != start)
                        continue;

                char *name = strdup(e->d_name);
                if (!name)
                        return -ENOMEM;
                *ret = name;
                return 0;
        }
        return -ENODEV;
}

bool dax_has_number(dev_t chardev) {
        _cleanup_free_ char *subsystem = NULL;

        return link_namef(&subsystem, "/sys/dev/char/%u:%u/subsystem", major(chardev), minor(chardev)) >= 0 && streq(subsystem, "dax");
}
