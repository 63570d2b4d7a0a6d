/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Arrays and mappings that stand on this card, alone or on others too. What a step would refuse is told here, before anybody is ended:
 * both ask the same functions (kernel/md.h, kernel/dm-table.h). */
#include "kernel/attr.h"
#include "plan/findings.h"

const BlockDevice *findings_block(const Findings *f, const char *name) {
        for (size_t i = 0; i < f->s->n_blocks; i++)
                if (streq(f->s->blocks[i]->name, name))
                        return f->s->blocks[i];
        return NULL;
}

/* md_goes_t */
static bool member_goes(const char *member, void *userdata) {
        return findings_block(userdata, member);
}

static void degrades_finding(Findings *f, const BlockDevice *md, const char *member) {
        uint64_t disks = 0, degraded = 0;

        (void) attr_read_u64f(&disks, "/sys/block/%s/md/raid_disks", md->name);
        (void) attr_read_u64f(&degraded, "/sys/block/%s/md/degraded", md->name);
        json_object *o = finding(f, BLOCKER_DEGRADES, false, "%s goes on without %s: degraded, until the card is back", md->name, member);
        json_set_strf(o, "evidence", "/sys/block/%s/md: %s of %ju disks, %ju missing already", md->name, md->label ?: "an array",
                      (uintmax_t) disks, (uintmax_t) degraded);
        finding_remedy(o, "mdadm --detail /dev/%s  # with another member added beforehand the array has its copies without this card", md->name);
}

static void spare_finding(Findings *f, const BlockDevice *md, const MdMember *member) {
        bool spare = member->role == MD_SPARE;
        json_object *o = finding(f, BLOCKER_GOES_ON, false, "%s goes on without %s, its %s", md->name, member->name,
                                 spare ? "hot spare: until the card is back it has one less" : "failed member");

        json_set_strf(o, "evidence", "/sys/block/%s/md/dev-%s/state", md->name, member->name);
        finding_remedy(o, "mdadm --detail /dev/%s", md->name);
}

/* What only loses a member. A container has its disks for its volumes, which tell of them. */
static void member_finding(Findings *f, const BlockDevice *md, const char *name) {
        const MdMember *member = md->array ? md_member(md->array, name) : NULL;

        if (!member || streq(md->array->level, "container"))
                return;
        if (member->role == MD_SPARE || member->role == MD_FAULTY)
                spare_finding(f, md, member);
        else
                degrades_finding(f, md, name);
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
        json_set_strf(o, "evidence", "/sys/block/%s/md: %s", b->name, b->array->reshaping ? "reshape_position" : b->array->syncing &&
                      loss == MD_DEGRADES ? "sync_action, resync_start" : "metadata_version, bitmap/location, dev-*/bad_blocks");
        if (b->array->reshaping)
                finding_remedy(o, "mdadm --wait /dev/%s  # it returns when that is done", b->name);
        else if (b->array->syncing && loss == MD_DEGRADES)
                finding_remedy(o, "mdadm --readwrite /dev/%s; mdadm --wait /dev/%s  # it returns when that is done", b->name, b->name);
        else if (b->array->bitmap_file && loss == MD_ENDS)
                finding_remedy(o, "mdadm --grow /dev/%s --bitmap=none", b->name);
        else if (loss == MD_ENDS)
                finding_remedy(o, "mdadm --stop /dev/%s  # once nothing of it is mounted; mdadm --assemble --scan puts it together again", b->name);
        else
                finding_remedy(o, "mdadm --detail /dev/%s", b->name);
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
        json_object *o = finding(f, BLOCKER_SPANS_DEVICES, false, "%s stands on %s too, which is not on this card, and "
                                 "goes as a whole", b->label ?: b->name, other);

        json_set_strf(o, "evidence", "/sys/block/%s/slaves/%s", b->name, other);
        finding_remedy(o, "lsblk -s /dev/%s  # what it stands on", b->name);
}

/* What stands on this card and on others: a set that goes as a whole, or an array that goes on without its member. */
static void find_sets(Findings *f) {
        for (size_t i = 0; i < f->t->n_block_devices; i++) {
                const BlockDevice *b = &f->t->block_devices[i];
                bool ours = findings_block(f, b->name);

                for (size_t j = 0; j < b->n_lower; j++) {
                        bool lower = findings_block(f, b->lower[j]);
                        if (lower && !ours && b->kind == BLOCK_MD)
                                member_finding(f, b, b->lower[j]);
                        if (!lower && ours)
                                spans_finding(f, b, b->lower[j]);
                }
        }
}

void find_stacks(Findings *f) {
        find_sets(f);
        for (size_t i = 0; i < f->t->n_block_devices; i++) {
                find_busy_array(f, &f->t->block_devices[i]);
                find_bitmap_file(f, &f->t->block_devices[i]);
        }
}
