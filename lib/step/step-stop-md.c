/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Stops an array that cannot go on without the card. */
#include <errno.h>

#include "kernel/md.h"
#include "step/step.h"
#include "step/users.h"

static void md_describe(json_object *args, char **ret_does, char **ret_undo) {
        *ret_does = strf("mdadm --stop /dev/%s", json_str(args, "md"));
        *ret_undo = strf("mdadm --assemble /dev/%s --uuid=%s", json_str(args, "md"), json_str(args, "uuid"));
}

static int find(json_object *args, StepRun *run, char **ret_md) {
        int r = md_find(json_str(args, "uuid"), json_str(args, "md"), ret_md);

        return r < 0 && r != -ENODEV ? step_fail(run, r, "%s cannot be found: %s", json_str(args, "md"), strerror(-r)) : r;
}

/* md_goes_t: all of them. */
static bool every_member(const char *member, void *userdata) {
        return true;
}

/* What is being reshaped, or could not be put together again, is not stopped. */
static int check_state(const char *md, StepRun *run) {
        _cleanup_(md_array_freep) MdArray *a = NULL;
        _cleanup_free_ char *why = NULL;

        int r = md_read(md, &a);
        if (r < 0)
                return r == -ENODEV ? 0 : step_fail(run, r, "%s cannot be read: %s", md, strerror(-r));
        why = md_not_now(a, md, MD_ENDS, every_member, NULL);
        if (!why)
                return 0;
        step_remedy(run, "mdadm --detail /dev/%s", md);
        return step_fail(run, -EBUSY, "%s", why);
}

static int md_check(json_object *args, StepRun *run) {
        _cleanup_free_ char *md = NULL;

        int r = find(args, run, &md);
        if (r == -ENODEV)
                return 0;
        if (r >= 0)
                r = check_state(md, run);
        return r < 0 ? r : step_block_unclaimed(run, md);
}

static int md_verify(json_object *args, StepRun *run) {
        _cleanup_free_ char *md = NULL;

        int r = find(args, run, &md);
        if (r == -ENODEV)
                return STEP_APPLIED;
        return r < 0 ? r : STEP_NOT_APPLIED;
}

static int md_apply(json_object *args, StepRun *run) {
        _cleanup_free_ char *md = NULL, *array = NULL;

        int r = find(args, run, &md);
        if (r == -ENODEV)
                return 0;
        if (r >= 0)
                r = md_check(args, run);
        if (r < 0)
                return r;
        array = strf("/dev/%s", md);
        const char *const argv[] = { "mdadm", "--stop", array, NULL };
        return array ? step_command(run, argv, NULL) : -ENOMEM;
}

/* udev may be at it already, under whatever name: md_verify() looks for the uuid. The members are found by it too, they may have
 * other names than before. */
static int md_revert(json_object *args, StepRun *run) {
        _cleanup_free_ char *md = NULL, *array = strf("/dev/%s", json_str(args, "md")), *uuid = strf("--uuid=%s", json_str(args, "uuid"));
        const char *const argv[] = { "mdadm", "--assemble", array, uuid, NULL };

        if (find(args, run, &md) >= 0)
                return 0;
        if (!array || !uuid)
                return -ENOMEM;
        step_remedy(run, "mdadm --assemble %s %s", array, uuid);
        int r = step_command(run, argv, NULL);
        return r < 0 && find(args, run, &md) >= 0 ? 0 : r;
}

const StepOps step_stop_md_ops = {
        .typical_usec = 300000,
        .args = "md:s uuid:s",
        .describe = md_describe,
        .check = md_check,
        .apply = md_apply,
        .revert = md_revert,
        .verify = md_verify,
};
