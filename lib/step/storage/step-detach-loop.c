/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Lets a loop device go of its file. The kernel says yes also when somebody has the device open, and then does it when the last
 * one closes it; so done is only what /sys shows. How it was set up is noted before: a plan cannot know all of it. */
#include <errno.h>
#include <linux/loop.h>
#include <sys/sysmacros.h>

#include "base/clock.h"
#include "kernel/block/blockdev.h"
#include "kernel/block/loop.h"
#include "kernel/mounts/mountinfo.h"
#include "step/evict/users.h"
#include "step/undo/device-back.h"

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
                return step_fail(run, -EBUSY, "%s keeps a deleted file (%s): its content would be lost", name, file);
        return step_block_unclaimed(run, name);
}

/* The node that the kernel has for the device now. */
static int turn_to_device(json_object *setup, StepRun *run) {
        _cleanup_free_ char *path = NULL, *node = NULL;
        dev_t dev;

        int r = device_find(run, json_str(setup, "backing_file"), &path, &dev);
        if (r < 0)
                return r;
        r = blockdev_node(dev, &node);
        if (r < 0)
                return step_fail(run, r, "%s cannot be found: %s", path, strerror(-r));
        json_set_str(setup, "backing_file", node);
        json_set_strf(setup, "node", "%u:%u", major(dev), minor(dev));
        return 0;
}

/* What was noted, as it has to be found now. Owned by the caller. -ENODEV: the device that it stood on is not there. */
static int setup_now(StepRun *run, json_object **ret) {
        _cleanup_json_ json_object *setup = NULL;

        if (json_object_deep_copy(step_noted_object(run, "setup"), &setup, NULL) < 0)
                return -ENOMEM;
        int r = json_has(setup, "node") ? turn_to_device(setup, run) : 0;
        if (r >= 0)
                *ret = TAKE_PTR(setup);
        return r;
}

/* Anything that is bound to it is in the way forward; on the way back only what was counts. What was not taken down (nothing was noted), or
 * must not come back, is not missing. */
static int loop_verify(json_object *args, StepRun *run) {
        const char *name = json_str(args, "loop");
        _cleanup_json_ json_object *setup = NULL;

        if (!run->backwards)
                return loop_is_bound(name) ? STEP_NOT_APPLIED : STEP_APPLIED;
        if (!step_noted_object(run, "setup") || step_noted_flag(run, "left"))
                return STEP_NOT_APPLIED;
        if (!loop_is_bound(name))
                return STEP_APPLIED;
        int r = setup_now(run, &setup);
        if (r >= 0)
                r = loop_is_bound_so(name, setup, run->limits->write_timeout_usec);
        else if (r == -ENODEV)
                return STEP_APPLIED;
        if (r < 0)
                return run->why ? r : step_fail(run, r, "what %s is bound to cannot be found out: %s", name, strerror(-r));
        return r ? STEP_NOT_APPLIED : STEP_APPLIED;
}

/* Takes the setup over. */
static int note_as(json_object *setup, StepRun *run) {
        json_object *note = json_object_new_object();

        json_set(note, "setup", setup);
        return step_note(run, note);
}

/* A device is known by its content too: it may have another name and number when it comes back. */
static int note_setup(const char *name, StepRun *run) {
        _cleanup_json_ json_object *setup = NULL;
        dev_t dev;

        int r = loop_read(name, run->limits->write_timeout_usec, &setup);
        if (r < 0)
                return step_fail(run, r, "how %s is set up cannot be read: %s", name, strerror(-r));
        if (json_has(setup, "node")) {
                r = dev_parse(json_str(setup, "node"), &dev);
                if (r >= 0)
                        r = device_note(run, dev);
                if (r < 0)
                        return r;
        }
        return note_as(TAKE_PTR(setup), run);
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

static void remedy(const char *name, json_object *setup, char **ret) {
        _cleanup_free_ char *file = shell_quoted(json_str(setup, "backing_file"));

        _cleanup_free_ char *first = loop_is_bound(name) ? strf("losetup -d /dev/%s && ", name) : NULL;

        *ret = strf("%slosetup -o %ju --sizelimit %ju%s /dev/%s %s", first ?: "", (uintmax_t) json_u64(setup, "offset"), (uintmax_t) json_u64(setup, "sizelimit"),
                    json_u64(setup, "flags") & LO_FLAGS_READ_ONLY ? " -r" : "", name, file ?: "");
}

/* Somebody who has a folder on the way to the file must not choose what this machine's own device stands on, nor keep the rest from coming back. */
static int leave(const char *name, json_object *setup, const char *why, StepRun *run) {
        json_object *note = json_object_new_object();
        _cleanup_free_ char *by_hand = NULL;

        remedy(name, setup, &by_hand);
        json_set_bool(note, "left", true);
        step_lost(run, "/dev/%s is not attached to %s again: %s; when it is the right one: %s", name, json_str(setup, "backing_file"), why ?: "it is not known",
                  by_hand ?: "losetup");
        return step_note(run, note);
}

static int loop_revert(json_object *args, StepRun *run) {
        const char *name = json_str(args, "loop");
        _cleanup_json_ json_object *setup = NULL;
        _cleanup_free_ char *told = NULL, *by_hand = NULL;

        /* It was not there when we came. */
        if (!step_noted_object(run, "setup"))
                return 0;
        int r = setup_now(run, &setup);
        if (r < 0)
                return r;
        r = loop_attach(name, setup, run->limits->write_timeout_usec, &told);
        if (r == -ESTALE)
                return leave(name, setup, told, run);
        if (r < 0) {
                remedy(name, setup, &by_hand);
                step_remedy(run, "%s", by_hand ?: "losetup");
                return step_fail(run, r, "%s cannot be attached to %s again: %s", name, json_str(setup, "backing_file"), strerror(-r));
        }
        if (told)
                step_lost(run, "/dev/%s is attached again, with other settings than before: %s", name, told);
        if (!json_has(setup, "node"))
                return 0;
        /* What stands on it asks whether it is bound to that (device-back.c), and its device may have another number by now. */
        return note_as(TAKE_PTR(setup), run);
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
