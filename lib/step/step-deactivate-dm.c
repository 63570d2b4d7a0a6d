/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Takes a device-mapper device down: a logical volume by lvm's own tool, any other by its name. How it was made up is noted before,
 * with the names of the devices under it: the numbers in its table may be others' when those come back. */
#include <errno.h>
#include <sys/sysmacros.h>

#include "kernel/attr.h"
#include "kernel/blockdev.h"
#include "kernel/dm-table.h"
#include "kernel/listing.h"
#include "kernel/mountinfo.h"
#include "step/device-back.h"
#include "step/users.h"

static bool is_volume(json_object *args) {
        const char *uuid = json_str(args, "uuid");

        return json_str(args, "lv") || (uuid && startswith(uuid, "LVM-"));
}

/* What lvm takes for the volume: "vg/lv", or the path of its node. */
static char *volume_name(json_object *args) {
        const char *lv = json_str(args, "lv");

        return lv ? strdup(lv) : strf("/dev/mapper/%s", json_str(args, "dm"));
}

static void dm_describe(json_object *args, char **ret_does, char **ret_undo) {
        const char *name = json_str(args, "dm");
        _cleanup_free_ char *volume = volume_name(args);

        if (is_volume(args)) {
                *ret_does = strf("lvchange -an %s", volume);
                *ret_undo = strf("lvchange -ay %s", volume);
        } else {
                *ret_does = strf("dmsetup remove %s", name);
                *ret_undo = strf("dmsetup create %s with the table that it had", name);
        }
}

/* By uuid where it has one: "dm-3" now. -ENODEV. */
static int find(json_object *args, char **ret_block) {
        const char *name = json_str(args, "dm"), *uuid = json_str(args, "uuid");
        _cleanup_listing_ Listing l = { 0 };
        bool by_uuid = uuid && *uuid;

        int r = listing_readf(&l, "/sys/block");
        for (size_t i = 0; i < l.n && r >= 0; i++) {
                _cleanup_free_ char *text = NULL;

                if (!startswith(l.names[i], "dm-") || attr_readf(&text, "/sys/block/%s/dm/%s", l.names[i], by_uuid ? "uuid" : "name") < 0)
                        continue;
                if (!streq(text, by_uuid ? uuid : name))
                        continue;
                *ret_block = strdup(l.names[i]);
                return *ret_block ? 0 : -ENOMEM;
        }
        return r < 0 ? r : -ENODEV;
}

static int table_read(json_object *args, StepRun *run, char **ret) {
        const char *const argv[] = { "dmsetup", "table", json_str(args, "dm"), NULL };

        return step_command(run, argv, ret);
}

static int dm_check(json_object *args, StepRun *run) {
        _cleanup_free_ char *block = NULL, *table = NULL;

        int r = find(args, &block);
        if (r == -ENODEV)
                return 0;
        if (r < 0)
                return step_fail(run, r, "%s cannot be found: %s", json_str(args, "dm"), strerror(-r));
        r = step_block_unclaimed(run, block);
        if (r < 0 || is_volume(args))
                return r;
        r = table_read(args, run, &table);
        if (r >= 0 && dm_table_hides_key(table)) {
                _cleanup_free_ char *name = shell_quoted(json_str(args, "dm"));
                step_remedy(run, "cryptsetup close %s", name);
                return step_fail(run, -EBUSY, "%s is encrypted with a key that only you have: it could not be opened again", json_str(args, "dm"));
        }
        return r;
}

/* A part of another volume goes and comes with it: nothing was noted of it then, and nothing of it is to be put back. */
static int dm_verify(json_object *args, StepRun *run) {
        _cleanup_free_ char *block = NULL;

        if (run->backwards && !step_noted_object(run, "made_of"))
                return STEP_NOT_APPLIED;
        int r = find(args, &block);
        if (r < 0 && r != -ENODEV)
                return step_fail(run, r, "%s cannot be found: %s", json_str(args, "dm"), strerror(-r));
        return r == -ENODEV ? STEP_APPLIED : STEP_NOT_APPLIED;
}

/* translate(): collects the names instead. */
static char *collect(const char *number, void *userdata) {
        _cleanup_free_ char *name = NULL;
        dev_t dev;

        if (dev_parse(number, &dev) >= 0 && blockdev_name(dev, &name) >= 0)
                json_set_str(userdata, number, name);
        return NULL;
}

static int note_setup(json_object *args, const char *block, StepRun *run) {
        _cleanup_json_ json_object *note = json_object_new_object();
        json_object *made_of = json_object_new_object();
        _cleanup_free_ char *table = NULL, *same = NULL;
        uint64_t read_only = 0;

        int r = table_read(args, run, &table);
        if (r < 0)
                return r;
        (void) attr_read_u64f(&read_only, "/sys/block/%s/ro", block);
        same = dm_table_translate(table, collect, made_of);
        json_set_str(note, "table", table);
        json_set_bool(note, "read_only", read_only);
        json_set(note, "made_of", made_of);
        return same ? step_note(run, TAKE_PTR(note)) : -ENOMEM;
}

static int dm_apply(json_object *args, StepRun *run) {
        _cleanup_free_ char *block = NULL, *volume = volume_name(args);
        const char *const remove[] = { "dmsetup", "remove", "--retry", json_str(args, "dm"), NULL };
        const char *const deactivate[] = { "lvchange", "--quiet", "-an", volume, NULL };

        int r = find(args, &block);
        if (r == -ENODEV)
                return 0;
        if (r >= 0)
                r = dm_check(args, run);
        if (r >= 0)
                r = note_setup(args, block, run);
        return r < 0 ? r : step_command(run, is_volume(args) ? deactivate : remove, NULL);
}

/* translate(): the number that the noted name has now. */
static char *number_now(const char *number, void *userdata) {
        const char *name = json_str(userdata, number);
        dev_t dev;

        return name && blockdev_number(name, &dev) >= 0 ? strf("%u:%u", major(dev), minor(dev)) : NULL;
}

static int create(json_object *args, StepRun *run) {
        const char *table = step_noted(run, "table") ?: json_str(args, "table");
        _cleanup_free_ char *now = NULL, *concise = NULL, *quoted = NULL;

        if (!table)
                return step_fail(run, -ENOENT, "the table of %s is not known", json_str(args, "dm"));
        now = dm_table_translate(table, number_now, step_noted_object(run, "made_of"));
        concise = now ? dm_table_concise(json_str(args, "dm"), json_str(args, "uuid") ?: "", step_noted_flag(run, "read_only"), now) : NULL;
        if (!concise)
                return -ENOMEM;
        const char *const argv[] = { "dmsetup", "create", "--concise", concise, NULL };
        quoted = shell_quoted(concise);
        step_remedy(run, "dmsetup create --concise %s", quoted);
        return step_command(run, argv, NULL);
}

static int dm_revert(json_object *args, StepRun *run) {
        _cleanup_free_ char *volume = volume_name(args), *block = NULL;
        const char *const activate[] = { "lvchange", "--quiet", "-ay", volume, NULL };

        if (find(args, &block) >= 0)
                return 0;
        if (!is_volume(args))
                return create(args, run);
        step_remedy(run, "lvchange -ay %s", volume);
        return step_command(run, activate, NULL);
}

const StepOps step_deactivate_dm_ops = {
        .typical_usec = 300000,
        .args = "dm:s uuid:s",
        .describe = dm_describe,
        .check = dm_check,
        .apply = dm_apply,
        .revert = dm_revert,
        .verify = dm_verify,
};
