/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Block devices and what each stands on: partitions on disks, device-mapper and md on their parts. What loop devices stand on is
 * known once the mounts are (load-file-system.c). */
#include <errno.h>
#include <limits.h>

#include "base/parse.h"
#include "kernel/attr.h"
#include "kernel/listing.h"
#include "kernel/mountinfo.h"
#include "topology/load.h"

#define DEVICES "/sys/class/block"

enum {
        SECTOR_BYTES = 512, /* of `size`, whatever the device's own are */
};

/* The PCI function that is nearest in a line of ancestors (".../0000:0d:00.0/nvme/nvme0/nvme0n1"). */
static int function_of_path(const char *path, char **ret) {
        for (unsigned level = 1;; level++) {
                _cleanup_free_ char *name = ancestor(path, level);
                bool has_domain = false;

                if (!name)
                        return 0;
                int r = parse_bdf(name, ret, &has_domain);
                if (r != -EINVAL)
                        return r;
        }
}

static BlockKind kind_of(const char *name) {
        static const struct {
                const char *folder; /* or attribute */
                BlockKind kind;
        } signs[] = {
                { "partition", BLOCK_PARTITION },
                { "dm", BLOCK_DM },
                { "md", BLOCK_MD },
        };

        for (size_t i = 0; i < ELEMENTSOF(signs); i++)
                if (path_existsf(DEVICES "/%s/%s", name, signs[i].folder))
                        return signs[i].kind;
        return is_numbered(name, "loop") ? BLOCK_LOOP : BLOCK_DISK;
}

static int read_lower(BlockDevice *b) {
        _cleanup_listing_ Listing l = { 0 };

        if (b->disk)
                return strings_add(&b->lower, &b->n_lower, &b->a_lower, b->disk);
        int r = listing_readf(&l, DEVICES "/%s/slaves", b->name);
        if (r < 0)
                return is_gone(r) ? 0 : r;
        for (size_t i = 0; i < l.n && r >= 0; i++)
                r = strings_add(&b->lower, &b->n_lower, &b->a_lower, l.names[i]);
        return r;
}

/* An array that is being deleted says EBUSY to everything (drivers/md/md.c:md_attr_show), and then its folder is gone before the
 * device is; it has no label here. */
static int read_md(BlockDevice *b) {
        int r = md_read(b->name, &b->array);
        if (r < 0)
                return r == -EBUSY || is_gone(r) ? 0 : r;
        b->label = strdup(b->array->level);
        b->uuid = b->array->uuid ? strdup(b->array->uuid) : NULL;
        return b->label && (b->uuid || !b->array->uuid) ? 0 : -ENOMEM;
}

/* The same with EINVAL (drivers/md/dm-sysfs.c:dm_attr_show). */
static int read_dm(BlockDevice *b) {
        uint64_t suspended = 0;

        int r = optional_textf(&b->label, DEVICES "/%s/dm/name", b->name);

        if (r >= 0)
                r = optional_textf(&b->uuid, DEVICES "/%s/dm/uuid", b->name);
        if (r >= 0)
                r = optional_u64f(&suspended, DEVICES "/%s/dm/suspended", b->name);
        b->suspended = r >= 0 && suspended != 0;
        return r == -EINVAL ? 0 : r;
}

static int read_kind(BlockDevice *b, const char *path) {
        b->kind = kind_of(b->name);
        switch (b->kind) {
        case BLOCK_PARTITION:
                b->disk = ancestor(path, 1);
                return b->disk ? 0 : -ENOMEM;
        case BLOCK_DM:
                return read_dm(b);
        case BLOCK_MD:
                return read_md(b);
        case BLOCK_LOOP:
                return optional_textf(&b->label, DEVICES "/%s/loop/backing_file", b->name);
        default:
                return 0;
        }
}

static int read_block(BlockDevice *b) {
        _cleanup_free_ char *path = NULL, *dev = NULL;
        uint64_t sectors, read_only;

        int r = link_readf(&path, DEVICES "/%s", b->name);
        if (r >= 0)
                r = optional_textf(&dev, DEVICES "/%s/dev", b->name);
        if (r >= 0 && dev)
                r = dev_parse(dev, &b->dev);
        if (r >= 0)
                r = optional_u64f(&sectors, DEVICES "/%s/size", b->name);
        if (r >= 0)
                r = optional_u64f(&read_only, DEVICES "/%s/ro", b->name);
        if (r >= 0)
                r = function_of_path(path, &b->bdf);
        if (r >= 0)
                r = read_kind(b, path);
        if (r >= 0)
                r = read_lower(b);
        if (r < 0)
                return r;
        b->size = sectors * SECTOR_BYTES;
        b->read_only = read_only != 0;
        return 0;
}

/* A loop device without a file, a mapping that is being deleted (nobody has it open then), an optical drive without a disc: nothing
 * of it can be anywhere. An array that was not started has no size either, but has its members. A disk whose controller the kernel has given
 * up has none any more (drivers/nvme/host/core.c:nvme_mark_namespaces_dead), and whoever used it does so still. */
static bool is_empty(const BlockDevice *b) {
        if (b->kind == BLOCK_LOOP || b->kind == BLOCK_DM || b->kind == BLOCK_MD)
                return !b->label;
        return b->size == 0 && b->n_lower == 0 && !startswith(b->name, "nvme");
}

static int add_block(Topology *t, const char *name) {
        BlockDevice *b = TOPOLOGY_ADD(t, block_devices);
        if (!b)
                return -ENOMEM;

        b->name = strdup(name);
        int r = b->name ? read_block(b) : -ENOMEM;
        return r >= 0 && is_empty(b) ? DEVICE_IS_NOTHING : r;
}

static bool is_any(const char *name) {
        return true;
}

int load_block_devices(Topology *t) {
        static const DeviceKind kind = { DEVICES, is_any, add_block, topology_drop_block_device };

        return load_devices(t, &kind);
}
