/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Stops an array that cannot go on without the card. */
#include <errno.h>

#include "base/clock.h"
#include "kernel/block/md.h"
#include "step/evict/users.h"
#include "step/step.h"

enum {
        /* udev has each member looked at as it appears, and there is no event for "it is through with all of them". */
        ASSEMBLE_TIMEOUT_SEC = 20,
        ASSEMBLE_RETRY_MSEC = 200,
};

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

/* 1: it serves; 0: somebody has begun to put it together of the members that he has seen; -ENODEV: not even that. A container is never
 * started, its volumes are. */
static int is_back(json_object *args, StepRun *run, char **ret_md) {
        _cleanup_(md_array_freep) MdArray *a = NULL;
        _cleanup_free_ char *md = NULL;

        int r = find(args, run, &md);
        if (r < 0)
                return r;
        r = md_read(md, &a);
        if (r == -ENODEV || r == -EBUSY)
                return -ENODEV; /* deleted meanwhile, or being so */
        if (r < 0)
                return step_fail(run, r, "%s cannot be read: %s", md, strerror(-r));
        *ret_md = TAKE_PTR(md);
        return !a->inactive || streq(a->level, "container");
}

static int md_verify(json_object *args, StepRun *run) {
        _cleanup_free_ char *md = NULL;

        int r = is_back(args, run, &md);
        if (r == -ENODEV)
                return STEP_APPLIED;
        if (r < 0)
                return r;
        return run->backwards && r == 0 ? STEP_PARTLY_APPLIED : STEP_NOT_APPLIED;
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

/* mdadm takes no member that is in an array already, and so starts none that udev has begun with: that one is stopped first. Never with
 * a member less than it had: without --run mdadm does not. */
static int assemble(json_object *args, const char *begun, StepRun *run) {
        _cleanup_free_ char *array = strf("/dev/%s", json_str(args, "md")), *uuid = strf("--uuid=%s", json_str(args, "uuid")),
                            *part = strf("/dev/%s", begun ?: "");
        const char *const stop[] = { "mdadm", "--stop", part, NULL }, *const again[] = { "mdadm", "--assemble", array, uuid, NULL };

        if (!array || !uuid || !part)
                return -ENOMEM;
        step_remedy(run, begun ? "mdadm --stop %3$s; mdadm --assemble %1$s %2$s" : "mdadm --assemble %s %s", array, uuid, part);
        int r = begun ? step_command(run, stop, NULL) : 0;
        return r < 0 ? r : step_command(run, again, NULL);
}

/* udev may be at it already, under whatever name: it is looked for by the uuid. The members are found by that too, they may have other
 * names than before. */
static int md_revert(json_object *args, StepRun *run) {
        uint64_t deadline = now_monotonic() + time_for(ASSEMBLE_TIMEOUT_SEC * USEC_PER_SEC);

        for (;;) {
                _cleanup_free_ char *begun = NULL, *md = NULL;

                int r = is_back(args, run, &begun);
                if (r > 0 || (r < 0 && r != -ENODEV))
                        return r < 0 ? r : 0;
                r = assemble(args, begun, run);
                if (r == -EINPROGRESS)
                        return r;
                int back = is_back(args, run, &md);
                if (back > 0)
                        return 0;
                /* Somebody has begun meanwhile; or all there is to put together is nothing. */
                if (back < 0 || now_monotonic() >= deadline)
                        return r < 0 ? r : step_fail(run, -EIO, "%s was put together and does not run", json_str(args, "md"));
                step_pause(run, ASSEMBLE_RETRY_MSEC);
        }
}

static const char *md_program(json_object *args) {
        return "mdadm";
}

const StepOps step_stop_md_ops = {
        .typical_usec = 300000,
        .args = "md:s uuid:s",
        .program = md_program,
        .describe = md_describe,
        .check = md_check,
        .apply = md_apply,
        .revert = md_revert,
        .verify = md_verify,
};
