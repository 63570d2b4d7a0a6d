/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What device-mapper's devices are made of: the types of their targets, of RAID volumes the array, of multipath how the paths are. */
#include <ctype.h>
#include <errno.h>

#include "base/clock.h"
#include "kernel/block/dm-set.h"
#include "kernel/block/dm-state.h"
#include "kernel/block/dm-table.h"
#include "kernel/sysfs/attr.h"
#include "topology/load/load.h"

/* What a mapping is where nobody can be asked for its table (there is no /dev/mapper/control): who made it says so in its uuid, and LVM
 * names the parts of a volume after it. What neither tells stays unknown. The steps read the table before they act. */

static const struct {
        const char *prefix;
        const char *target;
} makers[] = {
        { "CRYPT-VERITY-", "verity" },
        { "CRYPT-INTEGRITY-", "integrity" },
        { "CRYPT-SUBDEV-", "integrity" },
        { "CRYPT-", "crypt" },
        { "mpath-", "multipath" },
        { "LVM-", "linear" },
};

/* "vg-data_rimage_0" of "vg-data": the leg of a RAID volume, "_rmeta_0" what is known about it. */
static bool is_part(const BlockDevice *volume, const BlockDevice *part, const char *kind) {
        const char *rest = part->label ? startswith(part->label, volume->label) : NULL;

        return rest && (rest = startswith(rest, kind)) && isdigit((unsigned char) *rest);
}

static int add_leg(const Topology *t, const BlockDevice *volume, const BlockDevice *leg) {
        const char *number = strrchr(leg->label, '_');
        const BlockDevice *meta = NULL;

        for (size_t i = 0; i < volume->n_lower && !meta; i++) {
                const BlockDevice *b = topology_block_device(t, volume->lower[i]);
                if (b && is_part(volume, b, "_rmeta_") && streq_ptr(strrchr(b->label, '_'), number))
                        meta = b;
        }
        int r = md_add_member(volume->array, leg->name, MD_IN_SYNC);
        if (r < 0 || !meta)
                return r;
        MdMember *member = &volume->array->members[volume->array->n_members - 1];
        member->meta = strdup(meta->name);
        return member->meta ? 0 : -ENOMEM;
}

/* As large as each of its legs: they are copies of each other. Of any other size it may be striped, and is taken for that. */
static int guess_raid(const Topology *t, BlockDevice *b) {
        bool copies = true;
        size_t legs = 0;

        for (size_t i = 0; i < b->n_lower; i++) {
                const BlockDevice *part = topology_block_device(t, b->lower[i]);
                if (!part || !part->label || !b->label || (!is_part(b, part, "_rimage_") && !is_part(b, part, "_rmeta_")))
                        return 0;
                copies = copies && (!is_part(b, part, "_rimage_") || part->size == b->size);
                legs += is_part(b, part, "_rimage_");
        }
        if (legs == 0)
                return 0;
        b->array = calloc(1, sizeof(*b->array));
        if (!b->array || !(b->array->level = strdup(copies ? "raid1" : "raid")))
                return -ENOMEM;
        b->array->disks = legs;
        for (size_t i = 0; i < b->n_lower; i++) {
                const BlockDevice *part = topology_block_device(t, b->lower[i]);
                int r = is_part(b, part, "_rimage_") ? add_leg(t, b, part) : 0;
                if (r < 0)
                        return r;
        }
        return 0;
}

static bool has_layer(const Topology *t, const BlockDevice *b, const char *layer) {
        for (size_t i = 0; i < b->n_lower; i++) {
                const BlockDevice *part = topology_block_device(t, b->lower[i]);
                const char *suffix = part && part->kind == BLOCK_DM && part->uuid ? strrchr(part->uuid, '-') : NULL;
                if (streq_ptr(suffix, layer))
                        return true;
        }
        return false;
}

/* LVM calls what a snapshot was made of "-real", and what it keeps of that "-cow". A cache has its volume below the first name as well. */
static const char *guess_volume(const Topology *t, const BlockDevice *b) {
        if (b->array)
                return "raid";
        if (!has_layer(t, b, "-real"))
                return "linear";
        return has_layer(t, b, "-cow") ? "snapshot" : b->n_lower == 1 ? "snapshot-origin" : "cache";
}

/* what of it can be known without its table. 0 or -ENOMEM. */
static int guess_mapping(Topology *t, BlockDevice *b) {
        int r = b->uuid && startswith(b->uuid, "LVM-") ? guess_raid(t, b) : 0;
        const char *target = NULL, *number = b->uuid ? startswith(b->uuid, "part") : NULL;

        if (r < 0)
                return r;
        for (size_t i = 0; b->uuid && i < ELEMENTSOF(makers) && !target; i++)
                if (startswith(b->uuid, makers[i].prefix))
                        target = streq(makers[i].target, "linear") ? guess_volume(t, b) : makers[i].target;
        /* kpartx: "part1-mpath-..." */
        if (!target && number && isdigit((unsigned char) *number) && number[strspn(number, "0123456789")] == '-')
                target = "linear";
        if (!target)
                return 0;
        b->multipath = streq(target, "multipath");
        return strings_add(&b->targets, &b->n_targets, &b->a_targets, target);
}

enum {
        TIMEOUT_SEC = 5,
};

/* How dm_raid_parse() names members. A device that nobody knows is a member all the same. */
static char *name_at(dev_t dev, void *userdata) {
        const BlockDevice *b = topology_block_device_at(userdata, dev);

        return strdup(b ? b->name : "a device that is not known");
}

static int read_paths(Topology *t, BlockDevice *map, const char *status) {
        for (size_t i = 0; i < map->n_lower; i++) {
                BlockDevice *path = topology_own(t, topology_block_device(t, map->lower[i]));
                if (!path || path->trouble || dm_path_works(status, path->dev))
                        continue;
                path->trouble = strdup("failed");
                if (!path->trouble)
                        return -ENOMEM;
        }
        return 0;
}

static int add_target(Topology *t, BlockDevice *b, const DmTarget *target) {
        int r = strings_add(&b->targets, &b->n_targets, &b->a_targets, target->type);

        if (r < 0)
                return r;
        if (!b->not_again && streq(target->type, "mirror") && !dm_mirror_is_whole(target->status))
                b->not_again = "not all of its legs are known to work, and it would be copied from the first";
        if (!b->not_again)
                b->not_again = dm_target_not_again(target->type, target->params);
        if (streq(target->type, "multipath")) {
                b->multipath = true;
                return read_paths(t, b, target->status);
        }
        /* Several of them would be several arrays. */
        if (!streq(target->type, "raid") || b->array)
                return 0;
        r = dm_raid_parse(target->params, target->status, name_at, t, &b->array);
        return r == -EBADMSG ? 0 : r;
}

static int add_targets(Topology *t, const DmTargets *all) {
        int r = 0;

        for (size_t i = 0; i < all->n && r >= 0; i++) {
                BlockDevice *b = topology_own(t, topology_block_device_at(t, all->items[i].dev));
                if (b && b->kind == BLOCK_DM)
                        r = add_target(t, b, &all->items[i]);
        }
        return r;
}

/* What the device says of itself counts as well: "running" of SCSI, "live" of an NVMe controller. Others say nothing. */
static int read_states(Topology *t, const BlockDevice *map) {
        for (size_t i = 0; i < map->n_lower; i++) {
                BlockDevice *path = topology_own(t, topology_block_device(t, map->lower[i]));
                _cleanup_free_ char *state = NULL;

                int r = path && !path->trouble ? attr_readf(&state, "/sys/class/block/%s/device/state", path->name) : 0;
                if (r < 0 && r != -ENOMEM && !is_gone(r))
                        state = strdup("its state cannot be read");
                if (r == -ENOMEM)
                        return r;
                if (state && !streq(state, "running") && !streq(state, "live"))
                        path->trouble = TAKE_PTR(state);
        }
        return 0;
}

static int read_mappings(Topology *t) {
        _cleanup_free_ dev_t *devs = calloc(t->n_block_devices + 1, sizeof(dev_t));
        _cleanup_dm_targets_ DmTargets all = { 0 };
        size_t n = 0;

        for (size_t i = 0; devs && i < t->n_block_devices; i++)
                if (t->block_devices[i].kind == BLOCK_DM)
                        devs[n++] = t->block_devices[i].dev;
        if (!devs)
                return -ENOMEM;
        if (n == 0)
                return 0;
        int r = dm_targets_read(devs, n, TIMEOUT_SEC * USEC_PER_SEC, &all);
        if (r == -ENOENT) {
                r = 0;
                for (size_t i = 0; i < t->n_block_devices && r >= 0; i++)
                        if (t->block_devices[i].kind == BLOCK_DM)
                                r = guess_mapping(t, &t->block_devices[i]);
                return r;
        }
        /* What cannot be read is not known, and that is told of those that go with a card. */
        return r == -ENOMEM ? r : r < 0 ? 0 : add_targets(t, &all);
}

int load_mappings(Topology *t) {
        int r = read_mappings(t);

        for (size_t i = 0; i < t->n_block_devices && r >= 0; i++)
                if (t->block_devices[i].kind == BLOCK_DM && t->block_devices[i].multipath)
                        r = read_states(t, &t->block_devices[i]);
        return r;
}
