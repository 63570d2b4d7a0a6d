/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Takes a path out of a multipath mapping, or a leg out of a RAID volume, that goes on without it: whoever uses it is not disturbed.
 * multipathd is asked first, since it would put a path back that somebody else has taken out; without it, and for legs, the mapping is
 * given the same table without the part. For lvm the leg is one that has failed for a time, as its own tools take it
 * (drivers/md/dm-raid.c: what is written meanwhile is in the bitmap of the legs that stay). */
#include <errno.h>

#include "kernel/block/blockdev.h"
#include "kernel/block/dm-set.h"
#include "kernel/block/dm-state.h"
#include "kernel/mounts/mountinfo.h"
#include "kernel/sysfs/attr.h"
#include "kernel/sysfs/listing.h"
#include "step/undo/device-back.h"
#include "step/undo/dm-setup.h"

static bool is_path(json_object *args) {
        return streq_ptr(json_str(args, "kind"), "path");
}

static void part_describe(json_object *args, char **ret_does, char **ret_undo) {
        const char *dm = json_str(args, "dm"), *uuid = json_str(args, "uuid");
        _cleanup_free_ char *names = json_joined(json_array(args, "parts"), "name", ", ");

        if (is_path(args)) {
                *ret_does = strf("multipathd del path %s, or dmsetup load %s without it: it goes on over its other paths", names, dm);
                *ret_undo = strf("multipathd add path %s, or dmsetup load %s with it", names, dm);
                return;
        }
        *ret_does = strf("dmsetup load %s without %s: it goes on degraded", dm, names);
        *ret_undo = uuid && startswith(uuid, "LVM-") ? strf("lvchange --refresh /dev/mapper/%s", dm) : strf("dmsetup load %s with %s", dm, names);
}

/* The parts by their numbers, those of them that are still there. */
static size_t numbers_of(json_object *args, dev_t *ret, size_t room) {
        json_object *parts = json_array(args, "parts");
        size_t n = 0;

        for (size_t i = 0; i < json_len(parts) && n < room; i++)
                n += blockdev_number(json_str(json_at(parts, i), "name") ?: "", &ret[n]) >= 0;
        return n;
}

static bool is_part(json_object *args, const char *name) {
        return json_find(json_array(args, "parts"), "name", name);
}

/* md_goes_t */
static bool part_goes(const char *member, void *userdata) {
        return is_part(userdata, member);
}

/* `command` of dmsetup, for the mapping. */
static void dmsetup_remedy(json_object *args, StepRun *run, const char *command) {
        _cleanup_free_ char *dm = shell_quoted(json_str(args, "dm"));

        step_remedy(run, "dmsetup %s %s", command, dm);
}

static int check_path(json_object *args, StepRun *run, const char *block, const DmTarget *target) {
        int r = dm_multipath_serves(block, target->status, part_goes, args);
        if (r > 0)
                return 0;
        dmsetup_remedy(args, run, "status");
        if (r < 0)
                return step_fail(run, r, "whether another path of %s works is not known: %s", json_str(args, "dm"), strerror(-r));
        return step_fail(run, -EBUSY, "no other path of %s works", json_str(args, "dm"));
}

static int check_leg(json_object *args, StepRun *run, const DmTarget *target) {
        const char *dm = json_str(args, "dm");
        _cleanup_(md_array_freep) MdArray *a = NULL;
        _cleanup_free_ char *why = NULL;

        int r = dm_raid_parse(target->params, target->status, dm_member_name, NULL, &a);
        if (r < 0)
                return step_fail(run, r, "the table of %s cannot be understood", dm);
        MdLoss loss = md_without(a, part_goes, args);
        why = loss == MD_ENDS ? md_ends_why(a, dm, part_goes, args) : md_not_now(a, dm, loss, part_goes, args);
        if (!why && loss != MD_ENDS)
                return 0;
        dmsetup_remedy(args, run, "status");
        return step_fail(run, -EBUSY, "%s", why ?: "it cannot go on without it");
}

static int check_state(json_object *args, StepRun *run, const char *block) {
        const char *type = is_path(args) ? "multipath" : "raid";
        _cleanup_dm_targets_ DmTargets all = { 0 };
        dev_t dev;

        int r = blockdev_number(block, &dev);
        if (r >= 0)
                r = dm_targets_read(&dev, 1, run->limits->write_timeout_usec, &all);
        if (r < 0)
                return step_fail(run, r, "what %s is made of cannot be read: %s", json_str(args, "dm"), strerror(-r));
        for (size_t i = 0; i < all.n; i++)
                if (all.items[i].dev == dev && streq(all.items[i].type, type))
                        return is_path(args) ? check_path(args, run, block, &all.items[i]) : check_leg(args, run, &all.items[i]);
        return step_fail(run, -EBUSY, "%s is not of the kind %s any more", json_str(args, "dm"), type);
}

static int find(json_object *args, StepRun *run, char **ret_block) {
        int r = dm_find(json_str(args, "dm"), json_str(args, "uuid"), ret_block);

        return r < 0 && r != -ENODEV ? step_fail(run, r, "%s cannot be found: %s", json_str(args, "dm"), strerror(-r)) : r;
}

/* How many devices it stands on, and how many of them are the parts. */
static int count(json_object *args, const char *block, size_t *ret_all, size_t *ret_parts) {
        _cleanup_listing_ Listing l = { 0 };
        size_t parts = 0;

        int r = listing_readf(&l, "/sys/class/block/%s/slaves", block);
        for (size_t i = 0; i < l.n; i++)
                parts += is_part(args, l.names[i]);
        *ret_all = l.n;
        *ret_parts = parts;
        return r;
}

/* 1 with the same; 0: the mapping is gone; or a negative errno with the reason noted. */
static int look(json_object *args, StepRun *run, char **ret_block, size_t *ret_all, size_t *ret_parts) {
        _cleanup_free_ char *block = NULL;

        int r = find(args, run, &block);
        if (r >= 0)
                r = count(args, block, ret_all, ret_parts);
        if (r < 0)
                return r == -ENODEV ? 0 : r;
        *ret_block = TAKE_PTR(block);
        return 1;
}

static int part_verify(json_object *args, StepRun *run) {
        json_object *before = step_noted_object(run, "stood_on");
        _cleanup_free_ char *block = NULL;
        size_t all = 0, parts = 0;

        int r = look(args, run, &block, &all, &parts);
        if (r <= 0)
                return r < 0 ? r : STEP_APPLIED;
        /* What came back may have another name. */
        if (run->backwards)
                return !before || all >= (size_t) json_object_get_int64(before) ? STEP_NOT_APPLIED : STEP_APPLIED;
        return parts == 0 ? STEP_APPLIED : parts == json_len(json_array(args, "parts")) ? STEP_NOT_APPLIED : STEP_PARTLY_APPLIED;
}

static int part_check(json_object *args, StepRun *run) {
        const char *dm = json_str(args, "dm");
        _cleanup_free_ char *block = NULL;
        size_t all = 0, parts = 0;
        uint64_t suspended = 0;

        int r = look(args, run, &block, &all, &parts);
        if (r <= 0 || parts == 0)
                return r < 0 ? r : 0;
        if (attr_read_u64f(&suspended, "/sys/class/block/%s/dm/suspended", block) >= 0 && suspended) {
                dmsetup_remedy(args, run, "resume");
                return step_fail(run, -EBUSY, "%s is suspended", dm);
        }
        return check_state(args, run, block);
}

static int note(json_object *args, StepRun *run, const char *block, size_t all) {
        json_object *o = json_object_new_object();

        json_set_u64(o, "stood_on", all);
        int r = step_note(run, o);
        return r < 0 ? r : dm_setup_note(run, json_str(args, "dm"), block);
}

/* One that is loaded takes the place of the other when it is resumed; paths are changed without waiting for what is under way. */
static int load(json_object *args, StepRun *run, const char *table) {
        const char *dm = json_str(args, "dm");
        const char *const load[] = { "dmsetup", "load", dm, "--table", table, NULL }, *const clear[] = { "dmsetup", "clear", dm, NULL };
        const char *const resume[] = { "dmsetup", "resume", dm, NULL };
        const char *const at_once[] = { "dmsetup", "resume", "--noflush", "--nolockfs", dm, NULL };

        int r = step_command(run, load, NULL);
        if (r >= 0)
                r = step_command(run, is_path(args) ? at_once : resume, NULL);
        if (r >= 0)
                return 0;
        /* What went wrong is told, not what becomes of the table that nobody wants any more. */
        _cleanup_free_ char *why = TAKE_PTR(run->why);
        (void) step_command(run, clear, NULL);
        _cleanup_free_ char *quoted = shell_quoted(dm);
        step_remedy(run, "dmsetup clear %s; dmsetup resume %s", quoted, quoted);
        return step_fail(run, r, "%s", why ?: strerror(-r));
}

static void tell_daemon(json_object *args, StepRun *run, const char *verb) {
        json_object *parts = json_array(args, "parts");

        for (size_t i = 0; i < json_len(parts) && is_path(args); i++) {
                const char *name = json_str(json_at(parts, i), "name");
                _cleanup_free_ char *now = run->backwards ? dm_setup_name_now(run, name) : NULL;
                const char *const argv[] = { "multipathd", verb, "path", now ?: name, NULL };
                (void) step_command(run, argv, NULL);
        }
}

static int part_apply(json_object *args, StepRun *run) {
        size_t room = json_len(json_array(args, "parts")), all = 0, parts = 0;
        _cleanup_free_ dev_t *devs = calloc(room + 1, sizeof(dev_t));
        _cleanup_free_ char *block = NULL, *table = NULL, *without = NULL;

        if (!devs)
                return -ENOMEM;
        int r = look(args, run, &block, &all, &parts);
        if (r <= 0 || parts == 0)
                return r < 0 ? r : 0;
        r = part_check(args, run);
        if (r >= 0)
                r = note(args, run, block, all);
        if (r < 0)
                return r;
        tell_daemon(args, run, "del");
        r = count(args, block, &all, &parts);
        if (r >= 0 && parts > 0)
                r = dm_setup_table(run, json_str(args, "dm"), &table);
        if (r < 0 || parts == 0)
                return r;
        without = dm_table_without(table, devs, numbers_of(args, devs, room));
        return without ? load(args, run, without) : step_fail(run, -EBUSY, "the table of %s has no place that could be left out", json_str(args, "dm"));
}

static int part_revert(json_object *args, StepRun *run) {
        const char *uuid = json_str(args, "uuid");
        _cleanup_free_ char *volume = strf("/dev/mapper/%s", json_str(args, "dm")), *table = NULL;
        const char *const refresh[] = { "lvchange", "--quiet", "--refresh", volume, NULL };

        /* Nothing was taken out of it. */
        if (!step_noted_object(run, "stood_on") || part_verify(args, run) == STEP_NOT_APPLIED)
                return 0;
        if (!is_path(args) && uuid && startswith(uuid, "LVM-")) {
                _cleanup_free_ char *quoted = shell_quoted(volume);
                step_remedy(run, "lvchange --refresh %s", quoted);
                return step_command(run, refresh, NULL);
        }
        tell_daemon(args, run, "add");
        if (part_verify(args, run) == STEP_NOT_APPLIED)
                return 0;
        table = dm_setup_noted(run);
        return table ? load(args, run, table) : step_fail(run, -ENOENT, "what %s stood on is not there", json_str(args, "dm"));
}

static const char *part_program(json_object *args) {
        return "dmsetup";
}

const StepOps step_remove_dm_part_ops = {
        .needs_card = true,
        .typical_usec = 300000,
        .args = "dm:s uuid:s kind:s parts:a",
        .program = part_program,
        .describe = part_describe,
        .check = part_check,
        .apply = part_apply,
        .revert = part_revert,
        .verify = part_verify,
};
