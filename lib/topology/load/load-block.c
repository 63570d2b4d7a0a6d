/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Block devices and what each stands on: partitions on disks, device-mapper and md on their parts. What loop devices stand on is
 * known once the mounts are (load-file-system.c). */
#include <ctype.h>
#include <errno.h>
#include <limits.h>

#include "base/parse.h"
#include "kernel/mounts/mountinfo.h"
#include "kernel/pci/nvme-path.h"
#include "kernel/sysfs/attr.h"
#include "kernel/sysfs/listing.h"
#include "topology/load/load.h"

#define DEVICES "/sys/class/block"

enum {
        SECTOR_BYTES = 512, /* of `size`, whatever the device's own are */
        UUID_DIGITS = 32,
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

static int read_lower(Topology *t, BlockDevice *b) {
        _cleanup_listing_ Listing l = { 0 };

        if (b->disk)
                return strings_add(&b->lower, &b->n_lower, &b->a_lower, b->disk);
        int r = device_listing(t, &l, DEVICES "/%s/slaves", b->name);
        for (size_t i = 0; i < l.n && r >= 0; i++)
                r = strings_add(&b->lower, &b->n_lower, &b->a_lower, l.names[i]);
        return r;
}

/* One that was not started need not have one. */
static bool is_level(const MdArray *a) {
        static const char *const levels[] = {
                "linear", "raid0", "raid1", "raid4", "raid5", "raid6", "raid10", "multipath", "faulty", "container",
        };

        for (size_t i = 0; i < ELEMENTSOF(levels); i++)
                if (streq(a->level, levels[i]))
                        return true;
        return streq(a->level, "none") && a->inactive;
}

/* Every array has a level, every member a role (drivers/md/md.c:state_show), and what is no uuid would not be found again. */
static int check_md(Topology *t, BlockDevice *b) {
        const MdArray *a = b->array;
        size_t digits = 0;
        int r = 0;

        if (!is_level(a))
                r = odd_addf(t, -EINVAL, DEVICES "/%s/md/level", b->name);
        for (const char *p = a->uuid ?: ""; *p; p++)
                digits += isxdigit((unsigned char) *p) != 0;
        if (r >= 0 && a->uuid && digits != UUID_DIGITS)
                r = odd_addf(t, -EINVAL, DEVICES "/%s/md/uuid", b->name);
        for (size_t i = 0; i < a->n_members && r >= 0; i++)
                if (a->members[i].role == MD_UNKNOWN)
                        r = odd_addf(t, -EINVAL, DEVICES "/%s/md/dev-%s/state", b->name, a->members[i].name);
        return r;
}

/* An array that is being deleted says EBUSY to everything (drivers/md/md.c:md_attr_show), and then its folder is gone before the
 * device is; it has no label here. */
static int read_md(Topology *t, BlockDevice *b) {
        int r = md_read(b->name, &b->array);
        if (r == -EBUSY || is_gone(r))
                return 0;
        if (r < 0) {
                r = odd_addf(t, r, DEVICES "/%s/md", b->name);
                b->array = calloc(1, sizeof(*b->array));
                if (r < 0 || !b->array || !(b->array->level = strdup("none")))
                        return -ENOMEM;
        }
        else
                r = check_md(t, b);
        b->label = r < 0 ? NULL : strdup(b->array->level);
        b->uuid = b->array->uuid ? strdup(b->array->uuid) : NULL;
        return b->label && (b->uuid || !b->array->uuid) ? 0 : -ENOMEM;
}

/* The same with EINVAL (drivers/md/dm-sysfs.c:dm_attr_show). */
static int read_dm(Topology *t, BlockDevice *b) {
        _cleanup_free_ char *name = NULL;
        uint64_t suspended = 0;

        int r = attr_readf(&name, DEVICES "/%s/dm/name", b->name);
        if (r == -EINVAL || is_gone(r))
                return 0;
        if (r < 0)
                r = odd_addf(t, r, DEVICES "/%s/dm/name", b->name);
        if (r >= 0) {
                b->label = name && *name ? TAKE_PTR(name) : strdup(b->name);
                r = b->label ? 0 : -ENOMEM;
        }
        if (r >= 0)
                r = optional_textf(t, &b->uuid, DEVICES "/%s/dm/uuid", b->name);
        if (r >= 0)
                r = optional_u64f(t, &suspended, DEVICES "/%s/dm/suspended", b->name);
        b->suspended = suspended != 0;
        return r;
}

/* Without one it is not set up; one that cannot be read is "". */
static int read_file_of_loop(Topology *t, BlockDevice *b) {
        size_t n_odd = t->n_odd;

        int r = optional_textf(t, &b->label, DEVICES "/%s/loop/backing_file", b->name);
        if (r < 0 || t->n_odd == n_odd)
                return r;
        b->label = strdup("");
        return b->label ? 0 : -ENOMEM;
}

static int read_kind(Topology *t, BlockDevice *b, const char *path) {
        b->kind = kind_of(b->name);
        switch (b->kind) {
        case BLOCK_PARTITION:
                b->disk = path ? ancestor(path, 1) : NULL;
                return b->disk || !path ? 0 : -ENOMEM;
        case BLOCK_DM:
                return read_dm(t, b);
        case BLOCK_MD:
                return read_md(t, b);
        case BLOCK_LOOP:
                return read_file_of_loop(t, b);
        default:
                return 0;
        }
}

/* A hidden one has none. */
static int read_dev(Topology *t, BlockDevice *b) {
        _cleanup_free_ char *dev = NULL;
        uint64_t hidden = 0;

        int r = attr_readf(&dev, DEVICES "/%s/dev", b->name);
        if (is_gone(r) && attr_read_u64f(&hidden, DEVICES "/%s/hidden", b->name) >= 0 && hidden != 0)
                return 0;
        if (r >= 0)
                r = dev_parse(dev, &b->dev);
        return r < 0 ? odd_addf(t, r, DEVICES "/%s/dev", b->name) : 0;
}

/* A loop device without a file, a mapping that is being deleted (nobody has it open then), an optical drive without a disc: nothing
 * of it can be anywhere. An array that was not started has no size either, but has its members. A disk whose controller the kernel has given
 * up has none any more (drivers/nvme/host/core.c:nvme_mark_namespaces_dead), and whoever used it does so still. */
static bool is_empty(const BlockDevice *b, bool odd) {
        if (b->kind == BLOCK_LOOP || b->kind == BLOCK_DM || b->kind == BLOCK_MD)
                return !b->label;
        return !odd && b->size == 0 && b->n_lower == 0 && !startswith(b->name, "nvme");
}

static int add_block(Topology *t, const char *name) {
        _cleanup_free_ char *path = NULL;
        uint64_t sectors = 0, read_only = 0;
        size_t n_odd = t->n_odd;
        BlockDevice *b = TOPOLOGY_ADD(t, block_devices);
        if (!b)
                return -ENOMEM;
        b->name = strdup(name);
        if (!b->name)
                return -ENOMEM;

        int r = device_linkf(t, &path, DEVICES "/%s", b->name);
        if (r >= 0)
                r = read_dev(t, b);
        if (r >= 0)
                r = required_u64f(t, &sectors, DEVICES "/%s/size", b->name);
        if (r >= 0)
                r = optional_u64f(t, &read_only, DEVICES "/%s/ro", b->name);
        if (r >= 0 && path)
                r = function_of_path(path, &b->bdf);
        if (r >= 0)
                r = read_kind(t, b, path);
        if (r >= 0)
                r = read_lower(t, b);
        if (r < 0)
                return r;
        if (__builtin_mul_overflow(sectors, SECTOR_BYTES, &b->size)) {
                b->size = 0;
                r = odd_addf(t, -ERANGE, DEVICES "/%s/size", b->name);
        }
        b->read_only = read_only != 0;
        return r >= 0 && is_empty(b, t->n_odd > n_odd) ? DEVICE_IS_NOTHING : r;
}

static bool is_any(const char *name) {
        return true;
}

static int add_lower(Topology *t, const char *upper, const char *lower) {
        BlockDevice *b = topology_own(t, topology_block_device(t, upper));

        for (size_t i = 0; b && i < b->n_lower; i++)
                if (streq(b->lower[i], lower))
                        return 0;
        return b ? strings_add(&b->lower, &b->n_lower, &b->a_lower, lower) : 0;
}

/* Who holds a device is told from below as well; that the two agree is the business of whoever made the upper one. */
static int read_holders(Topology *t, const char *name) {
        _cleanup_listing_ Listing l = { 0 };

        int r = listing_readf(&l, DEVICES "/%s/holders", name);
        if (r < 0)
                return is_gone(r) ? 0 : odd_addf(t, r, DEVICES "/%s/holders", name);
        for (size_t i = 0; i < l.n && r >= 0; i++)
                r = add_lower(t, l.names[i], name);
        return r;
}

int load_block_devices(Topology *t) {
        static const DeviceKind kind = { DEVICES, is_any, add_block, topology_drop_block_device };

        int r = load_devices(t, &kind);
        if (r >= 0)
                r = topology_index_names(t);
        for (size_t i = 0; i < t->n_block_devices && r >= 0; i++)
                r = read_holders(t, t->block_devices[i].name);
        return r;
}

/* An NVMe namespace that more than one controller could lead to is shown as a disk of no device in particular, with a hidden one
 * for each controller (drivers/nvme/host/multipath.c). As long as all of them are of the same function, that is the one it is on. */

static BlockDevice *device(Topology *t, const char *name) {
        return topology_own(t, topology_block_device(t, name));
}

static int find_paths(Topology *t) {
        for (size_t i = 0; i < t->n_block_devices; i++) {
                _cleanup_free_ char *name = nvme_path_head(t->block_devices[i].name);
                BlockDevice *head = name ? device(t, name) : NULL;
                if (!head)
                        continue;
                head->multipath = true;
                int r = strings_add(&head->lower, &head->n_lower, &head->a_lower, t->block_devices[i].name);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* It is on the function that all of its paths are on, if they are. */
static int settle(Topology *t, BlockDevice *head) {
        const char *bdf = NULL;

        for (size_t i = 0; i < head->n_lower; i++) {
                const BlockDevice *path = device(t, head->lower[i]);
                if (!path->bdf || (bdf && !streq(path->bdf, bdf)))
                        return 0;
                bdf = path->bdf;
        }
        if (!bdf)
                return 0;
        head->multipath = false;
        head->bdf = strdup(bdf);
        return head->bdf ? 0 : -ENOMEM;
}

int load_nvme_paths(Topology *t) {
        int r = find_paths(t);

        for (size_t i = 0; i < t->n_block_devices && r >= 0; i++) {
                BlockDevice *head = &t->block_devices[i];
                if (!head->multipath)
                        continue;
                for (size_t j = 0; j < head->n_lower && r >= 0; j++)
                        r = nvme_path_trouble(head->lower[j], &device(t, head->lower[j])->trouble);
                if (r >= 0)
                        r = settle(t, head);
        }
        for (size_t i = 0; i < t->n_block_devices && r >= 0; i++) {
                BlockDevice *b = &t->block_devices[i];
                const BlockDevice *disk = b->kind == BLOCK_PARTITION && !b->bdf ? device(t, b->disk) : NULL;
                if (!disk || !disk->bdf)
                        continue;
                b->bdf = strdup(disk->bdf);
                r = b->bdf ? 0 : -ENOMEM;
        }
        return r;
}
