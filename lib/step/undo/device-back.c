/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <sys/sysmacros.h>

#include "base/clock.h"
#include "kernel/block/block-ground.h"
#include "kernel/block/blockdev.h"
#include "kernel/block/loop.h"
#include "kernel/mounts/mountinfo.h"
#include "kernel/sysfs/listing.h"
#include "step/undo/device-back.h"

enum {
        /* How long a device that came back may take to have its node and udev's links, and how often we look. */
        DEVICE_TIMEOUT_SEC = 10,
        DEVICE_RETRY_MSEC = 50,
};

/* The last one. */
static json_object *noted_in(json_object *notes, const char *key) {
        for (size_t i = json_len(notes); i > 0; i--)
                if (json_has(json_at(notes, i - 1), key))
                        return json_get(json_at(notes, i - 1), key);
        return NULL;
}

static bool flag_in(json_object *notes, const char *key) {
        for (size_t i = 0; i < json_len(notes); i++)
                if (json_flag(json_at(notes, i), key))
                        return true;
        return false;
}

json_object *step_noted_object(StepRun *run, const char *key) {
        return noted_in(run->notes, key);
}

const char *step_noted(StepRun *run, const char *key) {
        json_object *o = step_noted_object(run, key);

        return json_object_is_type(o, json_type_string) ? json_object_get_string(o) : NULL;
}

bool step_noted_flag(StepRun *run, const char *key) {
        return flag_in(run->notes, key);
}

/* One that has gone already, as with a card that was pulled, cannot be asked. */
int device_note(StepRun *run, dev_t dev) {
        _cleanup_free_ char *uuid = NULL;
        BlockGround ground = { 0 };
        char boot[33];

        if (dev == 0 || step_noted(run, "boot"))
                return 0;
        int r = blockdev_fs_uuid(dev, &uuid);
        if (r < 0)
                return step_fail(run, r, "what udev has noted of the device cannot be read: %s", strerror(-r));
        r = boot_id_read(boot);
        if (r < 0)
                return step_fail(run, r, "the boot's number cannot be read: %s", strerror(-r));
        bool seen = block_ground(dev, run->card, &ground) >= 0;
        json_object *note = json_object_new_object();
        if (uuid)
                json_set_str(note, "uuid", uuid);
        json_set_str(note, "boot", boot);
        json_set_strf(note, "dev", "%u:%u", major(dev), minor(dev));
        json_set_u64(note, "disk", blockdev_sequence(dev));
        json_set_bool(note, "loop", ground.loop);
        if (seen)
                json_set_bool(note, "card", ground.card);
        return step_note(run, note);
}

/* The very one that was taken down: its disk never went away. (A record of an older version does not tell.) */
static bool never_went(StepRun *run, dev_t *ret) {
        const char *then = step_noted(run, "boot"), *number = step_noted(run, "dev");
        uint64_t disk = json_object_get_uint64(step_noted_object(run, "disk"));
        char boot[33];

        return disk != 0 && number && dev_parse(number, ret) >= 0 && then && boot_id_read(boot) >= 0 && streq(then, boot) &&
               blockdev_sequence(*ret) == disk;
}

static bool stood_on_loop(StepRun *run, const char *path) {
        return step_noted_flag(run, "loop") || (!step_noted_object(run, "loop") && startswith(path, "/dev/loop"));
}

/* Bound to what it was detached from? While it was free anybody at the console could take it, with a copy of what was on it. */
static bool loop_is_back(StepRun *run, const char *name, json_object *notes) {
        json_object *setup = noted_in(notes, "setup");

        if (flag_in(notes, "left"))
                return false;
        /* It was not detached. */
        return !setup || loop_is_bound_so(name, setup, run->limits->write_timeout_usec) == 1;
}

static bool loops_are_back(StepRun *run, dev_t dev) {
        _cleanup_json_ json_object *names = NULL;
        bool back = block_ground_loops(dev, &names) >= 0;

        for (size_t n = 0; n < run->n_steps && back; n++)
                if (run->steps[n].type == STEP_DETACH_LOOP && json_has_string(names, json_str(run->steps[n].args, "loop")))
                        back = loop_is_back(run, json_str(run->steps[n].args, "loop"), step_notes_of(run, n));
        return back;
}

/* It was in use beside something of the card's (an XFS whose log is on the card), and was none of the card itself. (A record of an older
 * version does not tell.) */
static bool was_others(StepRun *run) {
        return step_noted_object(run, "card") && !step_noted_flag(run, "card");
}

/* One that came since. Anybody may bring a device with the same content, and only what is of the card is the card's. Where a loop device
 * was in it, that comes back by the number that it had, and is taken under its own path alone; so is what never was the card's, when the
 * content is the same. */
static bool may_be(StepRun *run, const char *path, dev_t dev, bool at_path) {
        const char *uuid = step_noted(run, "uuid");
        _cleanup_free_ char *same = NULL;
        BlockGround ground;

        if (uuid && (blockdev_fs_uuid(dev, &same) < 0 || !streq_ptr(same, uuid)))
                return false;
        if (block_ground(dev, run->card, &ground) < 0)
                return false;
        if (stood_on_loop(run, path))
                return at_path && ground.loop && loops_are_back(run, dev);
        return !ground.loop && (was_others(run) ? at_path && uuid : ground.card);
}

/* Members of one btrfs have its UUID, and each another one of its own, which a copy of a member has too. Any member will do to mount it. */
static bool is_another_member(dev_t dev, dev_t other) {
        _cleanup_free_ char *type = NULL, *own = NULL, *others = NULL;

        return blockdev_noted(dev, "ID_FS_TYPE", &type) >= 0 && streq_ptr(type, "btrfs") &&
               blockdev_noted(dev, "ID_FS_UUID_SUB", &own) >= 0 && blockdev_noted(other, "ID_FS_UUID_SUB", &others) >= 0 &&
               own && others && !streq(own, others);
}

/* The only one in the machine, whatever it is called, or the first member of the only one. */
static int look_everywhere(StepRun *run, const char *path, dev_t *ret) {
        _cleanup_listing_ Listing l = { 0 };
        size_t n = 0;

        int r = step_noted(run, "uuid") ? listing_readf(&l, "/sys/class/block") : -ENODEV;
        for (size_t i = 0; i < l.n; i++) {
                dev_t dev;
                if (!startswith(l.names[i], "loop") && blockdev_number(l.names[i], &dev) >= 0 && may_be(run, path, dev, false)) {
                        if (n == 0)
                                *ret = dev;
                        if (n == 0 || !is_another_member(dev, *ret))
                                n++;
                }
        }
        return r < 0 ? r : n == 1 ? 0 : -ENODEV;
}

/* What udev's links by content lead to, changes with whoever brings the same content. */
static int path_of(dev_t dev, const char *path, char **ret) {
        _cleanup_free_ char *node = NULL;
        dev_t there;

        bool stays = !startswith(path, "/dev/disk/") && blockdev_number_of_path(path, &there) >= 0 && there == dev;
        int r = stays ? 0 : blockdev_node(dev, &node);
        if (r >= 0 && node)
                r = blockdev_number_of_path(node, &there);
        if (r >= 0 && there != dev)
                r = -ENODEV;
        if (r < 0)
                return r;
        *ret = node ? TAKE_PTR(node) : strdup(path);
        return *ret ? 0 : -ENOMEM;
}

static int find(StepRun *run, const char *path, char **ret_path, dev_t *ret_dev) {
        int r = 0;

        if (!never_went(run, ret_dev)) {
                r = blockdev_number_of_path(path, ret_dev);
                if (r < 0 || !may_be(run, path, *ret_dev, true))
                        r = look_everywhere(run, path, ret_dev);
        }
        return r < 0 ? r : path_of(*ret_dev, path, ret_path);
}

int device_find(StepRun *run, const char *path, char **ret_path, dev_t *ret_dev) {
        uint64_t deadline = now_monotonic() + time_for((run->backwards ? DEVICE_TIMEOUT_SEC : 0) * USEC_PER_SEC);
        const char *uuid = step_noted(run, "uuid");
        int r;

        while ((r = find(run, path, ret_path, ret_dev)) < 0 && now_monotonic() < deadline)
                step_pause(run, DEVICE_RETRY_MSEC);
        return r < 0 ? step_fail(run, r, "%s%s%s is not there", path, uuid ? " with the content " : "", uuid ?: "") : 0;
}
