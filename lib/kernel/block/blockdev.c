/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <libudev.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/fileio.h"
#include "kernel/block/blockdev.h"
#include "kernel/mounts/mountinfo.h"
#include "kernel/sysfs/attr.h"
#include "kernel/sysfs/listing.h"

int blockdev_name(dev_t dev, char **ret) {
        int r = link_namef(ret, "/sys/dev/block/%u:%u", major(dev), minor(dev));

        return r == -ENOENT ? -ENODEV : r;
}

int blockdev_number(const char *name, dev_t *ret) {
        _cleanup_free_ char *text = NULL;

        int r = attr_readf(&text, "/sys/class/block/%s/dev", name);
        if (r == -ENOENT)
                return -ENODEV;
        return r < 0 ? r : dev_parse(text, ret);
}

int blockdev_number_of_path(const char *path, dev_t *ret) {
        struct stat st;

        if (stat(path, &st) < 0)
                return errno == ENOENT ? -ENODEV : -errno;
        if (!S_ISBLK(st.st_mode))
                return -ENOTBLK;
        *ret = st.st_rdev;
        return 0;
}

int blockdev_node(dev_t dev, char **ret) {
        _cleanup_free_ char *text = NULL;

        int r = attr_readf(&text, "/sys/dev/block/%u:%u/uevent", major(dev), minor(dev));
        if (r < 0)
                return r == -ENOENT ? -ENODEV : r;

        char *rest = text;
        for (char *line; (line = strsep(&rest, "\n"));) {
                const char *name = startswith(line, "DEVNAME=");
                if (name) {
                        *ret = strf("/dev/%s", name);
                        return *ret ? 0 : -ENOMEM;
                }
        }
        return -ENODEV;
}

bool superblock_exists(const char *type, const char *name) {
        static const char *const with_folders[] = { "xfs", "ext4", "f2fs" };

        for (size_t i = 0; i < ELEMENTSOF(with_folders); i++)
                if (streq(with_folders[i], type))
                        return path_existsf("/sys/fs/%s/%s", type, name);
        return false;
}

static void udev_device_donep(struct udev_device **d) {
        udev_device_unref(*d);
}

static void udev_donep(struct udev **u) {
        udev_unref(*u);
}

/* libudev reads files and waits for nobody. What it cannot read it says in errno; ENOENT: udev has not noted that, or nothing yet. */
int blockdev_noted(dev_t dev, const char *key, char **ret) {
        _cleanup_(udev_donep) struct udev *udev = udev_new();
        _cleanup_(udev_device_donep) struct udev_device *device = udev ? udev_device_new_from_devnum(udev, 'b', dev) : NULL;

        *ret = NULL;
        const char *value = device ? udev_device_get_property_value(device, key) : NULL;
        if (!value)
                return errno == ENOENT || (!device && (errno == ENODEV || errno == ENXIO)) ? 0 : -errno;
        *ret = strdup(value);
        return *ret ? 0 : -ENOMEM;
}

int blockdev_fs_uuid(dev_t dev, char **ret) {
        return blockdev_noted(dev, "ID_FS_UUID_ENC", ret);
}

uint64_t blockdev_sequence(dev_t dev) {
        uint64_t sequence = 0;

        /* A partition's is its disk's. */
        if (attr_read_u64f(&sequence, "/sys/dev/block/%u:%u/diskseq", major(dev), minor(dev)) < 0)
                (void) attr_read_u64f(&sequence, "/sys/dev/block/%u:%u/../diskseq", major(dev), minor(dev));
        return sequence;
}

char *blockdev_holders(const char *name) {
        _cleanup_listing_ Listing l = { 0 };
        char *all = NULL;

        if (listing_readf(&l, "/sys/class/block/%s/holders", name) < 0)
                return NULL;
        for (size_t i = 0; i < l.n; i++)
                (void) text_add(&all, ", ", "%s", l.names[i]);
        return all;
}
