/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Takes a member out of an array that goes on without it. */
#include <errno.h>

#include "kernel/attr.h"
#include "kernel/md.h"
#include "step/step.h"

static void member_describe(json_object *args, char **ret_does, char **ret_undo) {
        const char *md = json_str(args, "md"), *member = json_str(args, "member");

        *ret_does = strf("mdadm /dev/%s --fail /dev/%s --remove /dev/%s: the array goes on degraded", md, member, member);
        *ret_undo = strf("mdadm /dev/%s --re-add /dev/%s", md, member);
}

static int find(json_object *args, StepRun *run, char **ret_md) {
        int r = md_find(json_str(args, "uuid"), json_str(args, "md"), ret_md);

        return r < 0 && r != -ENODEV ? step_fail(run, r, "%s cannot be found: %s", json_str(args, "md"), strerror(-r)) : r;
}

static int member_check(json_object *args, StepRun *run) {
        const char *member = json_str(args, "member");
        _cleanup_free_ char *md = NULL, *why = NULL;

        int r = find(args, run, &md);
        if (r == -ENODEV || (r >= 0 && !md_member_works(md, member)))
                return 0;
        if (r < 0)
                return r;
        r = md_can_lose_one(md, &why);
        if (r == -EBUSY)
                step_remedy(run, "mdadm --detail /dev/%s", md);
        return r < 0 ? step_fail(run, r, "%s", why ?: strerror(-r)) : 0;
}

static int member_verify(json_object *args, StepRun *run) {
        const char *member = json_str(args, "member");
        _cleanup_free_ char *md = NULL;

        int r = find(args, run, &md);
        if (r == -ENODEV)
                return STEP_APPLIED;
        if (r < 0)
                return r;
        if (!md_has_member(md, member))
                return STEP_APPLIED;
        /* While it is being brought up to date again it is no longer missing. */
        return run->backwards || md_member_works(md, member) ? STEP_NOT_APPLIED : STEP_PARTLY_APPLIED;
}

static int member_apply(json_object *args, StepRun *run) {
        const char *member = json_str(args, "member");
        _cleanup_free_ char *md = NULL, *array = NULL, *node = strf("/dev/%s", member);

        int r = find(args, run, &md);
        if (r == -ENODEV || (r >= 0 && !md_has_member(md, member)))
                return 0;
        if (r >= 0)
                r = member_check(args, run);
        if (r < 0)
                return r;
        array = strf("/dev/%s", md);
        const char *const argv[] = { "mdadm", array, "--fail", node, "--remove", node, NULL };
        return array && node ? step_command(run, argv, NULL) : -ENOMEM;
}

/* With a bitmap only what was written meanwhile is copied; without one the kernel refuses and it is a new member. */
static int member_revert(json_object *args, StepRun *run) {
        _cleanup_free_ char *md = NULL, *array = NULL, *node = strf("/dev/%s", json_str(args, "member"));

        int r = find(args, run, &md);
        if (r == -ENODEV)
                return step_fail(run, r, "%s is not running", json_str(args, "md"));
        if (r < 0)
                return r;
        array = strf("/dev/%s", md);
        const char *const again[] = { "mdadm", array, "--re-add", node, NULL }, *const anew[] = { "mdadm", array, "--add", node, NULL };
        if (!array || !node)
                return -ENOMEM;
        r = step_command(run, again, NULL);
        if (r >= 0 || r == -EINPROGRESS || r == -ETIME)
                return r;
        step_remedy(run, "mdadm %s --add %s", array, node);
        return step_command(run, anew, NULL);
}

const StepOps step_remove_md_member_ops = {
        .needs_card = true,
        .typical_usec = 300000,
        .args = "md:s member:s uuid:s",
        .describe = member_describe,
        .check = member_check,
        .apply = member_apply,
        .revert = member_revert,
        .verify = member_verify,
};
