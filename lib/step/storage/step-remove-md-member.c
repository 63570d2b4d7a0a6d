/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Takes a member out of an array that goes on without it. One whose metadata a program keeps has its disks twice, in the volume and in
 * its container: out of the volume it is taken by that program, once it has failed there (drivers/md/md.c:state_store waits for it). */
#include <errno.h>

#include "base/clock.h"
#include "kernel/block/md.h"
#include "kernel/sysfs/attr.h"
#include "step/step.h"

enum {
        /* How long that program may take. It hears of it by the array's attributes, we have no event. */
        MONITOR_TIMEOUT_SEC = 15,
        MONITOR_RETRY_MSEC = 50,
};

/* What the argument "role" says, where it is not a member in use: a spare, one that failed, a container's disk. */
static bool is_idle(json_object *args) {
        return json_str(args, "role");
}

static bool is_disk(json_object *args) {
        return streq_ptr(json_str(args, "role"), "disk");
}

static bool is_in_volume(json_object *args) {
        return json_str(args, "container");
}

static void member_describe(json_object *args, char **ret_does, char **ret_undo) {
        const char *md = json_str(args, "md"), *member = json_str(args, "member");

        if (is_idle(args))
                *ret_does = strf("mdadm /dev/%s --remove /dev/%s: the array goes on without its %s", md, member, json_str(args, "role"));
        else if (is_in_volume(args))
                *ret_does = strf("mdadm /dev/%s --fail /dev/%s: the array goes on degraded", md, member);
        else
                *ret_does = strf("mdadm /dev/%s --fail /dev/%s --remove /dev/%s: the array goes on degraded", md, member, member);
        if (is_in_volume(args))
                *ret_undo = strf("wait until %s has %s again, which its container gives it", md, member);
        else if (is_disk(args))
                *ret_undo = strf("mdadm --incremental /dev/%s, or mdadm /dev/%s --add /dev/%s", member, md, member);
        else
                *ret_undo = strf("mdadm /dev/%s --re-add /dev/%s", md, member);
}

static int find(json_object *args, StepRun *run, char **ret_md) {
        int r = md_find(json_str(args, "uuid"), json_str(args, "md"), ret_md);

        return r < 0 && r != -ENODEV ? step_fail(run, r, "%s cannot be found: %s", json_str(args, "md"), strerror(-r)) : r;
}

/* md_goes_t */
static bool is_member(const char *member, void *userdata) {
        return streq(member, userdata);
}

static int refuse(StepRun *run, const char *md, char *why) {
        _cleanup_free_ char *owned = why;

        step_remedy(run, "mdadm --detail /dev/%s", md);
        return step_fail(run, -EBUSY, "%s", owned ?: "the array cannot go on without it");
}

static int member_check(json_object *args, StepRun *run) {
        _cleanup_free_ char *md = NULL, *member = strdup(json_str(args, "member"));
        _cleanup_(md_array_freep) MdArray *a = NULL;

        if (!member)
                return -ENOMEM;
        int r = find(args, run, &md);
        if (r >= 0)
                r = md_read(md, &a);
        if (r == -ENODEV)
                return 0;
        if (r < 0)
                return run->why ? r : step_fail(run, r, "%s cannot be read: %s", md, strerror(-r));
        MdLoss loss = md_without(a, is_member, member);
        if (loss == MD_ENDS)
                return refuse(run, md, md_ends_why(a, md, is_member, member));
        char *why = md_not_now(a, md, loss, is_member, member);
        return why ? refuse(run, md, why) : 0;
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
        return run->backwards || is_idle(args) || md_member_works(md, member) ? STEP_NOT_APPLIED : STEP_PARTLY_APPLIED;
}

/* Until the volume has it, or not any more. */
static int wait_for_monitor(const char *md, const char *member, bool there, StepRun *run) {
        uint64_t deadline = now_monotonic() + time_for(MONITOR_TIMEOUT_SEC * USEC_PER_SEC);

        while (md_has_member(md, member) != there && now_monotonic() < deadline && !step_cancelled(run))
                step_pause(run, MONITOR_RETRY_MSEC);
        if (md_has_member(md, member) == there)
                return 0;
        step_remedy(run, "mdadm --detail /dev/%s  # its monitor (mdmon) moves %s", md, member);
        return step_fail(run, -ETIME, "the monitor of %s has not %s %s within %d s", md, there ? "taken up" : "let go of", member,
                         MONITOR_TIMEOUT_SEC);
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
        const char *const out[] = { "mdadm", array, "--fail", node, "--remove", node, NULL };
        const char *const remove[] = { "mdadm", array, "--remove", node, NULL }, *const fail[] = { "mdadm", array, "--fail", node, NULL };
        if (!array || !node)
                return -ENOMEM;
        if (!is_in_volume(args))
                return step_command(run, is_idle(args) ? remove : out, NULL);
        r = step_command(run, fail, NULL);
        return r < 0 ? r : wait_for_monitor(md, member, false, run);
}

/* With a bitmap only what was written meanwhile is copied; without one the kernel refuses and it is a new member. */
static int member_revert(json_object *args, StepRun *run) {
        _cleanup_free_ char *md = NULL, *array = NULL, *node = strf("/dev/%s", json_str(args, "member"));

        int r = find(args, run, &md);
        if (r == -ENODEV)
                return step_fail(run, r, "%s is not running", json_str(args, "md"));
        if (r < 0)
                return r;
        if (is_in_volume(args))
                return wait_for_monitor(md, json_str(args, "member"), true, run);
        array = strf("/dev/%s", md);
        const char *const again[] = { "mdadm", array, "--re-add", node, NULL }, *const anew[] = { "mdadm", array, "--add", node, NULL };
        const char *const known[] = { "mdadm", "--incremental", node, NULL };
        if (!array || !node)
                return -ENOMEM;
        /* udev may have been quicker: it has the disks of a container put together by what is written on them, and so have we. */
        if (md_has_member(md, json_str(args, "member")))
                return 0;
        r = step_command(run, is_disk(args) ? known : again, NULL);
        if (r >= 0 && is_disk(args) && !md_has_member(md, json_str(args, "member")))
                r = -EIO;
        if (r >= 0 || r == -EINPROGRESS || r == -ETIME)
                return r;
        step_remedy(run, "mdadm %s --add %s", array, node);
        return step_command(run, anew, NULL);
}

static const char *member_program(json_object *args) {
        return "mdadm";
}

const StepOps step_remove_md_member_ops = {
        .needs_card = true,
        .outlives_boot = true, /* the members that stay have it in their super blocks */
        .typical_usec = 300000,
        .args = "md:s member:s uuid:s",
        .program = member_program,
        .describe = member_describe,
        .check = member_check,
        .apply = member_apply,
        .revert = member_revert,
        .verify = member_verify,
};
