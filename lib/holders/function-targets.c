/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <sys/stat.h>

#include "base/parse.h"
#include "holders/function-targets.h"
#include "kernel/mounts/mountinfo.h"
#include "kernel/sysfs/attr.h"
#include "kernel/sysfs/listing.h"

/* What a device of a class says of its node; nothing when it has gone, or is none. */
static int add_node(HoldTargets *t, const char *dev_path, const char *node) {
        _cleanup_free_ char *text = NULL;
        dev_t dev;

        int r = attr_read(dev_path, &text);
        if (r == -ENOENT)
                return 0;
        if (r >= 0)
                r = dev_parse(text, &dev);
        return r < 0 ? r : hold_targets_add(t, TARGET_CHAR, dev, node);
}

/* The class devices in a folder of the function, each of which has a node of its own name. */
static int add_children(HoldTargets *t, const char *bdf, const char *folder, const char *prefix) {
        _cleanup_listing_ Listing names = { 0 };

        int r = listing_readf(&names, "/sys/bus/pci/devices/%s/%s", bdf, folder);
        if (r == -ENOENT)
                return 0;
        for (size_t i = 0; i < names.n && r >= 0; i++) {
                _cleanup_free_ char *path = strf("/sys/bus/pci/devices/%s/%s/%s/dev", bdf, folder, names.names[i]);
                _cleanup_free_ char *node = strf("%s%s", prefix, names.names[i]);

                r = path && node ? add_node(t, path, node) : -ENOMEM;
        }
        return r;
}

/* A group without an IOMMU has another name (drivers/vfio/group.c:vfio_group_alloc). */
static int add_group(HoldTargets *t, const char *bdf) {
        static const char *const prefixes[] = { "", "noiommu-" };
        _cleanup_free_ char *group = NULL;

        int r = link_namef(&group, "/sys/bus/pci/devices/%s/iommu_group", bdf);
        if (r == -ENOENT)
                return 0;
        for (size_t i = 0; i < ELEMENTSOF(prefixes) && r >= 0; i++) {
                _cleanup_free_ char *path = strf("/sys/class/vfio/%s%s/dev", prefixes[i], group);
                _cleanup_free_ char *node = strf("/dev/vfio/%s%s", prefixes[i], group);

                r = path && node ? add_node(t, path, node) : -ENOMEM;
        }
        return r;
}

/* A file in sysfs that can be mapped; nothing when it is not there. */
static int add_memory(HoldTargets *t, const char *bdf, const char *file) {
        _cleanup_free_ char *path = strf("/sys/bus/pci/devices/%s/%s", bdf, file);
        struct stat st;

        if (!path)
                return -ENOMEM;
        if (stat(path, &st) < 0)
                return errno == ENOENT ? 0 : -errno;
        return hold_targets_add_file(t, st.st_dev, st.st_ino, path);
}

/* Drivers that hand a function out leave its memory to processes; all others have it for themselves
 * (kernel/resource.c:resource_is_exclusive). */
static bool is_the_kernels(const char *bdf) {
        _cleanup_free_ char *driver = NULL;

        return link_namef(&driver, "/sys/bus/pci/devices/%s/driver", bdf) != -ENOENT && !path_existsf("/sys/bus/pci/devices/%s/vfio-dev", bdf) &&
                !path_existsf("/sys/bus/pci/devices/%s/uio", bdf);
}

/* "resource0", "resource0_wc"; "resource" is a text about them, "resource0_resize" a number. */
static int add_bars(HoldTargets *t, const char *bdf) {
        _cleanup_listing_ Listing files = { 0 };

        int r = listing_readf(&files, "/sys/bus/pci/devices/%s", bdf);
        if (r == -ENOENT)
                return 0;
        for (size_t i = 0; i < files.n && r >= 0; i++) {
                const char *number = startswith(files.names[i], "resource"), *rest = number ? number + strspn(number, "0123456789") : NULL;
                if (rest != number && (streq(rest, "") || streq(rest, "_wc")))
                        r = add_memory(t, bdf, files.names[i]);
        }
        return r;
}

int hold_targets_add_generic(HoldTargets *t, const char *block) {
        const char *number = startswith(block, "nvme");

        if (!number)
                return 0;
        _cleanup_free_ char *path = strf("/sys/class/nvme-generic/ng%s/dev", number), *node = strf("/dev/ng%s", number);
        return path && node ? add_node(t, path, node) : -ENOMEM;
}

int hold_targets_add_function(HoldTargets *t, const char *bdf) {
        _cleanup_free_ char *address = NULL;
        bool has_domain;

        int r = parse_bdf(bdf, &address, &has_domain);
        if (r < 0)
                return r;
        if (!has_domain)
                return -EINVAL;
        r = add_group(t, address);
        if (r >= 0)
                r = add_children(t, address, "vfio-dev", "/dev/vfio/devices/");
        if (r >= 0)
                r = add_children(t, address, "uio", "/dev/");
        if (r >= 0)
                r = add_children(t, address, "nvme", "/dev/");
        if (r >= 0)
                r = add_memory(t, address, "p2pmem/allocate");
        return r < 0 || is_the_kernels(address) ? r : add_bars(t, address);
}
