/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Lets a loop device go of its file. The kernel says yes also when somebody has the device open, and then does it when the last
 * one closes it; so done is only what /sys shows. How it was set up is noted before: a plan cannot know all of it. */
#include <errno.h>

#include "base/clock.h"
#include "kernel/blockdev.h"
#include "kernel/loop.h"
#include "kernel/mountinfo.h"
#include "step/device-back.h"
#include "step/users.h"

enum {
        /* Until the last one has closed it (udev looks at it for a moment). There is no event for it. */
        GONE_TIMEOUT_MSEC = 3000,
        GONE_RETRY_MSEC = 50,
};

static void loop_describe(json_object *args, char **ret_does, char **ret_undo) {
        const char *name = json_str(args, "loop"), *file = json_str(args, "backing_file");

        *ret_does = strf("detach /dev/%s from %s", name, file);
        *ret_undo = strf("attach /dev/%s to %s as it was", name, file);
}

static int loop_check(json_object *args, StepRun *run) {
        const char *name = json_str(args, "loop"), *file = json_str(args, "backing_file");

        if (loop_has_last_hold(name, run->limits->write_timeout_usec))
                return step_fail(run, -EBUSY, "%s has the last hold of a file without a name (%s): its content would be lost", name, file);
        return step_block_unclaimed(run, name);
}

/* The file that it is bound to may be seen under another name from here, and another one may have taken its number. */
static int loop_verify(json_object *args, StepRun *run) {
        return loop_is_bound(json_str(args, "loop")) ? STEP_NOT_APPLIED : STEP_APPLIED;
}

static int note_setup(const char *name, StepRun *run) {
        json_object *setup = NULL;

        int r = loop_read(name, run->limits->write_timeout_usec, &setup);
        if (r < 0)
                return step_fail(run, r, "how %s is set up cannot be read: %s", name, strerror(-r));
        json_object *note = json_object_new_object();
        json_set(note, "setup", setup);
        return step_note(run, note);
}

static int wait_gone(const char *name, StepRun *run) {
        for (unsigned msec = 0; loop_is_bound(name) && msec < GONE_TIMEOUT_MSEC; msec += GONE_RETRY_MSEC)
                step_pause(run, GONE_RETRY_MSEC);
        return loop_is_bound(name) ? -EBUSY : 0;
}

static int loop_apply(json_object *args, StepRun *run) {
        const char *name = json_str(args, "loop");
        _cleanup_free_ char *users = NULL;
        dev_t dev = 0;

        if (!loop_is_bound(name))
                return 0;
        int r = loop_check(args, run);
        if (r >= 0 && !step_noted_object(run, "setup"))
                r = note_setup(name, run);
        if (r < 0)
                return r;
        r = loop_detach(name, run->limits->write_timeout_usec);
        if (r >= 0)
                r = wait_gone(name, run);
        if (r != -EBUSY)
                return r < 0 ? step_fail(run, r, "%s cannot be detached: %s", name, strerror(-r)) : 0;

        /* It would go some time later, behind our back. */
        (void) loop_set_autoclear(name, false, run->limits->write_timeout_usec);
        users = dev_parse(json_str(args, "dev"), &dev) >= 0 ? step_users(TARGET_BLOCK, dev, name) : NULL;
        return step_fail(run, r, "%s is open: %s", name, users ?: "nobody is found who has it");
}

static int loop_revert(json_object *args, StepRun *run) {
        const char *name = json_str(args, "loop");
        json_object *setup = step_noted_object(run, "setup") ?: args;

        int r = loop_attach(name, setup, run->limits->write_timeout_usec);
        if (r == -EBUSY && loop_is_bound(name))
                return 0;
        if (r < 0) {
                _cleanup_free_ char *file = shell_quoted(json_str(setup, "backing_file"));
                step_remedy(run, "losetup -o %ju /dev/%s %s", (uintmax_t) json_u64(setup, "offset"), name, file);
                return step_fail(run, r, "%s cannot be attached to %s again: %s", name, json_str(setup, "backing_file"), strerror(-r));
        }
        return 0;
}

const StepOps step_detach_loop_ops = {
        .typical_usec = 50000,
        .args = "loop:s dev:s backing_file:s",
        .describe = loop_describe,
        .check = loop_check,
        .apply = loop_apply,
        .revert = loop_revert,
        .verify = loop_verify,
};
