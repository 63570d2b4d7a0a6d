/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a mapping is where nobody can be asked for its table (there is no /dev/mapper/control): who made it says so in its uuid, and LVM
 * names the parts of a volume after it. What neither tells stays unknown. The steps read the table before they act. */
#include <ctype.h>
#include <errno.h>

#include "topology/load/load.h"

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

/* kpartx: "part1-mpath-..." */
static bool is_partition(const char *uuid) {
        const char *number = startswith(uuid, "part");

        return number && isdigit((unsigned char) *number) && number[strspn(number, "0123456789")] == '-';
}

/* "vg-data_rimage_0" of "vg-data": the leg of a RAID volume, "_rmeta_0" what is known about it. */
static bool is_part(const BlockDevice *volume, const BlockDevice *part, const char *kind) {
        const char *rest = part->label ? startswith(part->label, volume->label) : NULL;

        return rest && (rest = startswith(rest, kind)) && isdigit((unsigned char) *rest);
}

static const BlockDevice *meta_of(const Topology *t, const BlockDevice *volume, const BlockDevice *leg) {
        const char *number = strrchr(leg->label, '_');

        for (size_t i = 0; i < volume->n_lower; i++) {
                const BlockDevice *b = topology_block_device(t, volume->lower[i]);
                if (b && is_part(volume, b, "_rmeta_") && streq_ptr(strrchr(b->label, '_'), number))
                        return b;
        }
        return NULL;
}

static int add_leg(const Topology *t, const BlockDevice *volume, const BlockDevice *leg) {
        const BlockDevice *meta = meta_of(t, volume, leg);

        int r = md_add_member(volume->array, leg->name, MD_IN_SYNC);
        if (r < 0 || !meta)
                return r;
        volume->array->members[volume->array->n_members - 1].meta = strdup(meta->name);
        return volume->array->members[volume->array->n_members - 1].meta ? 0 : -ENOMEM;
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

static const char *guess_target(const Topology *t, const BlockDevice *b) {
        for (size_t i = 0; b->uuid && i < ELEMENTSOF(makers); i++)
                if (startswith(b->uuid, makers[i].prefix))
                        return streq(makers[i].target, "linear") ? guess_volume(t, b) : makers[i].target;
        return b->uuid && is_partition(b->uuid) ? "linear" : NULL;
}

int guess_mapping(Topology *t, BlockDevice *b) {
        int r = b->uuid && startswith(b->uuid, "LVM-") ? guess_raid(t, b) : 0;
        const char *target = r < 0 ? NULL : guess_target(t, b);

        if (!target)
                return r;
        b->multipath = streq(target, "multipath");
        return strings_add(&b->targets, &b->n_targets, &b->a_targets, target);
}
