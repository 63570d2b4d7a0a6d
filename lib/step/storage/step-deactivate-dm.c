/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Takes a device-mapper device down: a logical volume by lvm's own tool, any other by its name. How it was made up is noted before,
 * with the names of the devices under it: the numbers in its table may be others' when those come back. */
#include <errno.h>

#include "kernel/block/dm-table.h"
#include "kernel/sysfs/attr.h"
#include "step/evict/users.h"
#include "step/undo/device-back.h"
#include "step/undo/dm-setup.h"

/* A leg of a volume that goes on without it is known to lvm as a part of that volume only. */
static bool is_leg(json_object *args) {
        return json_flag(args, "leg");
}

static bool is_volume(json_object *args) {
        const char *uuid = json_str(args, "uuid");

        return !is_leg(args) && (json_str(args, "lv") || (uuid && startswith(uuid, "LVM-")));
}

/* What lvm takes for the volume: "vg/lv", or the path of its node. */
static char *volume_name(json_object *args) {
        const char *lv = json_str(args, "lv");

        return lv ? strdup(lv) : strf("/dev/mapper/%s", json_str(args, "dm"));
}

static void dm_describe(json_object *args, char **ret_does, char **ret_undo) {
        const char *name = json_str(args, "dm"), *partial = json_flag(args, "partial") ? " --activationmode partial" : "";
        _cleanup_free_ char *volume = volume_name(args);

        if (is_volume(args)) {
                *ret_does = strf("lvchange -an %s", volume);
                *ret_undo = strf("lvchange -ay%s %s", partial, volume);
        } else {
                *ret_does = strf("dmsetup remove %s", name);
                *ret_undo = is_leg(args) ? strf("left to what takes %s up again", name)
                                         : strf("dmsetup create %s with the table that it had", name);
        }
}

static int find(json_object *args, char **ret_block) {
        return dm_find(json_str(args, "dm"), json_str(args, "uuid"), ret_block);
}

/* What its targets are, as the plan asks too. */
static int check_targets(json_object *args, StepRun *run) {
        _cleanup_free_ char *table = NULL, *name = shell_quoted(json_str(args, "dm")), *unknown = NULL;

        int r = dm_setup_table(run, json_str(args, "dm"), &table);
        if (r < 0)
                return r;
        switch (dm_table_fate(table, false, &unknown)) {
        case DM_NEEDS_KEY:
                step_remedy(run, "cryptsetup close %s", name);
                return step_fail(run, -EBUSY, "%s is encrypted, and safe-remove has no key to open it again", json_str(args, "dm"));
        case DM_NOT_KNOWN:
                step_remedy(run, "dmsetup remove %s", name);
                return step_fail(run, -EBUSY, "whether %s could be made again is not known (%s)", json_str(args, "dm"), unknown);
        default:
                return 0;
        }
}

static int dm_check(json_object *args, StepRun *run) {
        _cleanup_free_ char *block = NULL, *name = shell_quoted(json_str(args, "dm"));
        uint64_t suspended = 0;

        int r = find(args, &block);
        if (r == -ENODEV)
                return 0;
        if (r < 0)
                return step_fail(run, r, "%s cannot be found: %s", json_str(args, "dm"), strerror(-r));
        if (attr_read_u64f(&suspended, "/sys/block/%s/dm/suspended", block) >= 0 && suspended) {
                step_remedy(run, "dmsetup resume %s", name);
                return step_fail(run, -EBUSY, "%s is suspended", json_str(args, "dm"));
        }
        r = step_block_unclaimed(run, block);
        return r < 0 || is_volume(args) ? r : check_targets(args, run);
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

static int dm_apply(json_object *args, StepRun *run) {
        _cleanup_free_ char *block = NULL, *volume = volume_name(args);
        const char *const remove[] = { "dmsetup", "remove", "--retry", json_str(args, "dm"), NULL };
        const char *const deactivate[] = { "lvchange", "--quiet", "-an", volume, NULL };

        int r = find(args, &block);
        if (r == -ENODEV)
                return 0;
        if (r >= 0)
                r = dm_check(args, run);
        if (r >= 0 && !is_leg(args))
                r = dm_setup_note(run, json_str(args, "dm"), block);
        return r < 0 ? r : step_command(run, is_volume(args) ? deactivate : remove, NULL);
}

static int create(json_object *args, StepRun *run) {
        _cleanup_free_ char *now = dm_setup_noted(run), *concise = NULL, *quoted = NULL;

        if (!now && json_str(args, "table"))
                now = strdup(json_str(args, "table"));
        if (!now)
                return step_fail(run, -ENOENT, "the table of %s is not known, or what it stood on is not there", json_str(args, "dm"));
        concise = dm_table_concise(json_str(args, "dm"), json_str(args, "uuid") ?: "", step_noted_flag(run, "read_only"), now);
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
        const char *const partly[] = { "lvchange", "--quiet", "-ay", "--activationmode", "partial", volume, NULL };
        bool partial = json_flag(args, "partial");

        if (is_leg(args) || find(args, &block) >= 0)
                return 0;
        if (!is_volume(args))
                return create(args, run);
        step_remedy(run, "lvchange -ay%s %s", partial ? " --activationmode partial" : "", volume);
        return step_command(run, partial ? partly : activate, NULL);
}

static const char *dm_program(json_object *args) {
        return is_volume(args) ? "lvchange" : "dmsetup";
}

const StepOps step_deactivate_dm_ops = {
        .typical_usec = 300000,
        .args = "dm:s uuid:s",
        .program = dm_program,
        .describe = dm_describe,
        .check = dm_check,
        .apply = dm_apply,
        .revert = dm_revert,
        .verify = dm_verify,
};
