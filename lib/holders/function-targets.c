/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "base/parse.h"
#include "holders/function-targets.h"
#include "kernel/attr.h"
#include "kernel/listing.h"
#include "kernel/mountinfo.h"

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
        return r;
}
