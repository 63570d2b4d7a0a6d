/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Arrays and mappings that stand on this card, alone or on others too. What a step would refuse is told here, before anybody is ended:
 * both ask the same functions (kernel/block/md.h, kernel/block/dm-table.h). */
#include "kernel/block/dm-table.h"
#include "kernel/sysfs/attr.h"
#include "plan/find/blockers.h"
#include "plan/plan-storage.h"

enum {
        STACK_DEPTH = 16, /* more than anybody builds; what the kernel says of itself has no end by itself */
};

const BlockDevice *findings_block(const Findings *f, const char *name) {
        return SCOPE_NAMED(f->s, blocks, name);
}

bool mapping_is_placeholder(const BlockDevice *b) {
        return b->kind == BLOCK_DM && b->uuid && startswith(b->uuid, "LVM-") && strstr(b->uuid, "-missing_");
}

static bool is_partial(const Topology *t, const BlockDevice *b, size_t depth) {
        for (size_t i = 0; i < b->n_lower && depth > 0; i++) {
                const BlockDevice *lower = topology_block_device(t, b->lower[i]);
                if (lower && (mapping_is_placeholder(lower) || is_partial(t, lower, depth - 1)))
                        return true;
        }
        return false;
}

bool mapping_is_partial(const Topology *t, const BlockDevice *b) {
        return b->kind == BLOCK_DM && is_partial(t, b, STACK_DEPTH);
}

/* md_goes_t */
static bool member_goes(const char *member, void *userdata) {
        return findings_block(userdata, member);
}

/* What only loses a member. A container has its disks for its volumes, which tell of them. */
static void member_finding(Findings *f, const BlockDevice *md, const char *name) {
        const MdMember *member = md->array ? md_member(md->array, name) : NULL;
        uint64_t degraded = 0;
        json_object *o;

        if (!member || streq(md->array->level, "container"))
                return;
        if (member->role == MD_SPARE || member->role == MD_FAULTY) {
                o = finding(f, BLOCKER_GOES_ON, false, "%s goes on without %s, its %s", md->name, member->name,
                            member->role == MD_SPARE ? "hot spare: until the card is back it has one less" : "failed member");
                json_set_strf(o, "evidence", "/sys/block/%s/md/dev-%s/state", md->name, member->name);
                finding_remedy(o, "mdadm --detail /dev/%s", md->name);
                return;
        }
        bool known = attr_read_u64f(&degraded, "/sys/class/block/%s/md/degraded", md->name) >= 0;
        _cleanup_free_ char *missing = known ? strf(", %ju missing already", (uintmax_t) degraded) : strdup("");
        o = finding(f, BLOCKER_DEGRADES, false, "%s goes on without %s: degraded, until the card is back", md->name, name);
        json_set_strf(o, "evidence", "/sys/block/%s/md: %s of %ju disks%s", md->name, md->label ?: "an array", (uintmax_t) md->array->disks,
                      missing);
        finding_remedy(o, "mdadm --detail /dev/%s  # with another member added beforehand the array has its copies without this card", md->name);
}

/* What tells more of a mapping or a namespace with several paths. */
static void status_remedy(json_object *o, const BlockDevice *b, const char *comment) {
        _cleanup_free_ char *name = shell_quoted(b->label ?: b->name);

        if (b->kind == BLOCK_DM)
                finding_remedy(o, "dmsetup status %s%s", name, comment);
        else
                finding_remedy(o, "nvme list-subsys /dev/%s%s", b->name, comment);
}

static void path_finding(Findings *f, const BlockDevice *map, const char *path) {
        const char *other = NULL;

        for (size_t i = 0; i < map->n_lower; i++) {
                const BlockDevice *b = topology_block_device(f->t, map->lower[i]);
                if (b && !b->trouble && !findings_block(f, b->name))
                        other = b->name;
        }
        json_object *o = finding(f, BLOCKER_GOES_ON, false, "%s goes on over %s, without its path %s", map->label ?: map->name, other ?: "another path",
                                 path);
        if (map->kind == BLOCK_DM)
                json_set_strf(o, "evidence", "/sys/block/%s/slaves/%s", map->name, path);
        else
                json_set_strf(o, "evidence", "/sys/block/%s: %s is live", path, other ?: "another path");
        status_remedy(o, map, "");
}

/* What goes on without a part that is on this card. */
static void part_finding(Findings *f, const BlockDevice *b, const char *part) {
        const MdMember *leg = b->array ? md_member(b->array, part) : NULL;

        if (b->kind == BLOCK_MD)
                member_finding(f, b, part);
        else if (b->multipath)
                path_finding(f, b, part);
        else if (leg && streq(leg->name, part)) {
                json_object *o = finding(f, BLOCKER_DEGRADES, false, "%s goes on without %s: degraded, until the card is back", b->label, part);
                json_set_strf(o, "evidence", "%s of %ju legs; /sys/block/%s/slaves/%s", b->array->level, (uintmax_t) b->array->disks, b->name, part);
                status_remedy(o, b, "  # A: a leg that has all of the data");
        }
}

static bool has_part_in_scope(const Findings *f, const BlockDevice *b) {
        for (size_t i = 0; i < b->n_lower; i++)
                if (findings_block(f, b->lower[i]))
                        return true;
        return false;
}

static void find_busy_array(Findings *f, const BlockDevice *b) {
        _cleanup_free_ char *why = NULL;

        if (!b->array || !has_part_in_scope(f, b))
                return;
        MdLoss loss = findings_block(f, b->name) ? MD_ENDS : md_without(b->array, member_goes, f);
        why = md_not_now(b->array, b->name, loss, member_goes, f);
        if (!why)
                return;
        json_object *o = finding(f, BLOCKER_ARRAY_BUSY, true, "%s", why);
        if (b->array->no_metadata)
                json_set_strf(o, "evidence", b->kind == BLOCK_DM ? "the table of /sys/block/%s" : "/sys/block/%s/md: metadata_version, uuid", b->name);
        else
                json_set_strf(o, "evidence", "/sys/block/%s/md: %s", b->name, b->array->reshaping ? "reshape_position" : b->array->syncing &&
                              loss == MD_DEGRADES ? "sync_action, resync_start" : "metadata_version, bitmap/location, dev-*/bad_blocks");
        if (b->array->no_metadata && b->kind == BLOCK_DM)
                status_remedy(o, b, "  # no leg has metadata");
        else if (b->array->reshaping)
                finding_remedy(o, "mdadm --wait /dev/%s  # it returns when that is done", b->name);
        else if (b->array->syncing && loss == MD_DEGRADES)
                finding_remedy(o, "mdadm --readwrite /dev/%s; mdadm --wait /dev/%s  # it returns when that is done", b->name, b->name);
        else if (b->array->bitmap_file && loss == MD_ENDS)
                finding_remedy(o, "mdadm --grow /dev/%s --bitmap=none", b->name);
        else if (b->array->no_metadata && !b->array->inactive && loss == MD_ENDS)
                finding_remedy(o, "mdadm --stop /dev/%s  # once nothing of it is mounted; what built it (mdadm --build) builds it again", b->name);
        else if (b->array->no_metadata && loss != MD_ENDS)
                finding_remedy(o, "mdadm --detail /dev/%s  # --fail and --remove the member; --add, and never --re-add, gives it all data again", b->name);
        else if (loss == MD_ENDS)
                finding_remedy(o, "mdadm --stop /dev/%s  # once nothing of it is mounted; mdadm --assemble --scan puts it together again", b->name);
        else
                finding_remedy(o, "mdadm --detail /dev/%s  # give it a spare, and let that take the place of the bad disk: mdadm --replace", b->name);
}

/* The kernel has the file open, and no process does. */
static void find_bitmap_file(Findings *f, const BlockDevice *b) {
        const Mount *m = b->array && b->array->bitmap_file
                ? topology_mount_of_path(f->t, topology_host_ns(f->t), b->array->bitmap_file) : NULL;

        for (size_t i = 0; m && i < f->s->n_mounts; i++) {
                if (f->s->mounts[i] != m)
                        continue;
                json_object *o = finding(f, BLOCKER_ARRAY_BUSY, true, "%s has its bitmap in %s, which is on this card", b->name,
                                         b->array->bitmap_file);
                json_set_strf(o, "evidence", "/proc/mdstat; %s is mounted on %s", m->source, m->target);
                finding_remedy(o, "mdadm --grow /dev/%s --bitmap=none", b->name);
                return;
        }
}

static void spans_finding(Findings *f, const BlockDevice *b, const char *other) {
        const BlockDevice *path = b->multipath ? topology_block_device(f->t, other) : NULL;

        if (path && path->trouble) {
                json_object *o = finding(f, BLOCKER_SPANS_DEVICES, false, "%s has another path, %s, that does not work, and is taken down as a whole",
                                         b->label ?: b->name, other);
                json_set_strf(o, "evidence", "%s: %s", other, path->trouble);
                status_remedy(o, b, "");
                return;
        }
        /* The label of an array is its level only. */
        _cleanup_free_ char *array = b->kind == BLOCK_MD && b->label ? strf("%s (%s)", b->name, b->label) : NULL;
        json_object *o = finding(f, BLOCKER_SPANS_DEVICES, false, "%s stands on %s too, which is not on this card, and is taken down as a "
                                 "whole", array ?: b->label ?: b->name, other);

        json_set_strf(o, "evidence", "/sys/block/%s/slaves/%s", b->name, other);
        finding_remedy(o, "lsblk -s /dev/%s  # what it stands on", b->name);
}

/* What stands on this card and on others: a set that goes as a whole, or an array that goes on without its member. */
static void find_sets(Findings *f) {
        for (size_t i = 0; i < f->t->n_block_devices; i++) {
                const BlockDevice *b = &f->t->block_devices[i];
                bool ours = findings_block(f, b->name);

                for (size_t j = 0; j < b->n_lower; j++) {
                        const BlockDevice *lower = topology_block_device(f->t, b->lower[j]);
                        bool lower_ours = findings_block(f, b->lower[j]), missing = lower && mapping_is_placeholder(lower);
                        if (lower_ours && !ours)
                                part_finding(f, b, b->lower[j]);
                        if (!lower_ours && ours && !missing)
                                spans_finding(f, b, b->lower[j]);
                }
        }
}

/* Of what goes and of what only loses a part: a step would wait in the kernel for both, and so would a sync. */
static void find_suspended(Findings *f, const BlockDevice *b) {
        _cleanup_free_ char *name = shell_quoted(b->label ?: b->name);

        if (!b->suspended || (!findings_block(f, b->name) && !has_part_in_scope(f, b)))
                return;
        json_object *o = finding(f, BLOCKER_SUSPENDED, true, "%s is suspended: every read and write of it waits in the kernel", b->label ?: b->name);
        json_set_strf(o, "evidence", "/sys/block/%s/dm/suspended reads 1", b->name);
        finding_remedy(o, "dmsetup resume %s", name);
}

/* A key that was made up at boot is not even its owner's: what was on it is gone with it, and a new one is made. */
static void encrypted_finding(Findings *f, const BlockDevice *b) {
        bool plain = b->uuid && startswith(b->uuid, "CRYPT-PLAIN-");
        _cleanup_free_ char *name = shell_quoted(b->label ?: b->name), *place = NULL;
        const Mount *m = NULL;
        bool is_swap = false;

        for (size_t i = 0; i < f->s->n_mounts && !m; i++)
                if (f->s->mounts[i]->dev == b->dev && f->s->mounts[i]->ns == topology_host_ns(f->t))
                        m = f->s->mounts[i];
        for (size_t i = 0; i < f->s->n_swaps && !is_swap; i++)
                is_swap = !f->s->swaps[i]->file && f->s->swaps[i]->dev == b->dev;
        json_object *o = finding(f, BLOCKER_ENCRYPTED, true, "%s is encrypted, and safe-remove has no key to open it again%s",
                                 b->label ?: b->name, plain ? "; its random key is lost when it is closed" : "");
        json_set_strf(o, "evidence", "/sys/block/%s/dm/uuid: %s", b->name, b->uuid ?: "none; its table has a target \"crypt\"");
        if (m)
                place = shell_quoted(m->target);
        if (is_swap)
                finding_remedy(o, "swapoff /dev/mapper/%s && cryptsetup close %s", name, name);
        else if (m)
                finding_remedy(o, "umount %s && cryptsetup close %s  # and cryptsetup open once the card is back", place, name);
        else
                finding_remedy(o, "cryptsetup close %s  # once nobody uses it; and cryptsetup open once the card is back", name);
}

static void unknown_finding(Findings *f, const BlockDevice *b, const char *type) {
        _cleanup_free_ char *name = shell_quoted(b->label ?: b->name);
        json_object *o = type ? finding(f, BLOCKER_UNKNOWN_MAPPING, true, "%s has a device-mapper target that is not known here (%s): whether it "
                                        "could be made again is not known", b->label ?: b->name, type)
                              : finding(f, BLOCKER_UNKNOWN_MAPPING, true, "the table of %s cannot be read", b->label ?: b->name);

        json_set_strf(o, "evidence", type ? "the table of /sys/block/%s" : "/dev/mapper/control told nothing of /sys/block/%s", b->name);
        finding_remedy(o, "dmsetup remove %s  # once nobody uses it; dmsetup table %s tells what it is", name, name);
}

static void not_again_finding(Findings *f, const BlockDevice *b) {
        _cleanup_free_ char *name = shell_quoted(b->label ?: b->name);
        json_object *o = finding(f, BLOCKER_UNKNOWN_MAPPING, true, "%s could not be made again as it is: %s", b->label ?: b->name, b->not_again);

        json_set_strf(o, "evidence", "the table of /sys/block/%s, and its status", b->name);
        finding_remedy(o, "dmsetup table %s; dmsetup status %s  # once what is needed of it is somewhere else: dmsetup remove %s", name, name, name);
}

/* A snapshot is taken down together with what it is a snapshot of, by LVM's own rule, and that is in use elsewhere. */
static void find_snapshot(Findings *f, const BlockDevice *b) {
        const BlockDevice *origin = NULL;

        for (size_t i = 0; i < f->t->n_block_devices && !origin && streq(b->targets[0], "snapshot"); i++) {
                const BlockDevice *o = &f->t->block_devices[i];
                if (o->n_targets == 0 || !streq(o->targets[0], "snapshot-origin") || findings_block(f, o->name))
                        continue;
                for (size_t j = 0; j < b->n_lower && !origin; j++)
                        if (o->n_lower > 0 && streq(o->lower[0], b->lower[j]))
                                origin = o;
        }
        if (!origin)
                return;
        json_object *o = finding(f, BLOCKER_UNKNOWN_MAPPING, true, "%s is a snapshot of %s, which is not on this card, and what %s keeps of it would "
                                 "be lost", b->label, origin->label, b->label);
        json_set_strf(o, "evidence", "/sys/block/%s/slaves/%s", b->name, origin->lower[0]);
        _cleanup_free_ char *name = shell_quoted(b->label);
        finding_remedy(o, "lvremove /dev/mapper/%s  # or lvconvert --merge, once nobody uses either", name);
}

/* What the step that takes it down would refuse. */
static void find_fate(Findings *f, const BlockDevice *b) {
        bool volume = b->uuid && startswith(b->uuid, "LVM-");

        if (!findings_block(f, b->name))
                return;
        if (b->n_targets == 0)
                unknown_finding(f, b, NULL);
        for (size_t i = 0; i < b->n_targets; i++) {
                DmFate fate = dm_target_fate(b->targets[i], volume);
                if (fate == DM_NEEDS_KEY)
                        encrypted_finding(f, b);
                else if (fate == DM_NOT_KNOWN)
                        unknown_finding(f, b, b->targets[i]);
                if (fate != DM_COMES_BACK)
                        return;
        }
        /* An array without metadata is told by what it is to the card. */
        if (b->not_again && !(b->array && b->array->no_metadata))
                not_again_finding(f, b);
        else if (b->n_targets > 0)
                find_snapshot(f, b);
}

static void find_partial(Findings *f, const BlockDevice *b) {
        if (!findings_block(f, b->name) || !mapping_is_partial(f->t, b))
                return;
        json_object *o = finding(f, BLOCKER_PARTIAL, false, "%s is active with a part missing, and is restored the same way", b->label ?: b->name);
        json_set_strf(o, "evidence", "/sys/block/%s/slaves: an error target has the place of the part", b->name);
        finding_remedy(o, "vgs -o +devices  # what is missing");
}

/* LVM has this name for itself: what stands on it is copied from one device to another, and somebody waits for the end of it. */
static void find_move(Findings *f, const BlockDevice *b) {
        const char *name = b->uuid && startswith(b->uuid, "LVM-") && b->label ? strrchr(b->label, '-') : NULL;
        const char *number = name ? startswith(name, "-pvmove") : NULL;
        bool moves = number && *number && !number[strspn(number, "0123456789")];

        if (!moves || (!findings_block(f, b->name) && !has_part_in_scope(f, b)))
                return;
        json_object *o = finding(f, BLOCKER_ARRAY_BUSY, true, "volumes are being moved to or from this card (%s)", b->label);
        json_set_strf(o, "evidence", "/sys/block/%s/dm/name", b->name);
        finding_remedy(o, "pvmove  # goes on with it, and returns when it is done; pvmove --abort takes it back");
}

void find_stacks(Findings *f) {
        find_sets(f);
        for (size_t i = 0; i < f->t->n_block_devices; i++) {
                const BlockDevice *b = &f->t->block_devices[i];
                find_busy_array(f, b);
                find_bitmap_file(f, b);
                if (b->kind != BLOCK_DM)
                        continue;
                find_suspended(f, b);
                find_move(f, b);
                find_fate(f, b);
                find_partial(f, b);
        }
}
