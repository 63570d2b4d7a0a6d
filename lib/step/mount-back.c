/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "base/clock.h"
#include "kernel/blockdev.h"
#include "kernel/remount.h"
#include "kernel/unmount.h"
#include "step/mount-back.h"

enum {
        /* How long a device that came back may take to have its node and udev's links, and how often we look. */
        DEVICE_TIMEOUT_SEC = 10,
        DEVICE_RETRY_MSEC = 50,
};

typedef struct Back {
        json_object *fs, *mounts;
        char *source;           /* what to mount; owned */
        MountedFs now;          /* how the kernel shows it now; no device for what has none of its own */
        uint64_t host;
        MountNsList namespaces;
        json_object *found;     /* owned */
} Back;

static void back_done(Back *b) {
        free(b->source);
        mount_ns_list_done(&b->namespaces);
        json_object_put(b->found);
}

static const char *noted(StepRun *run, const char *key) {
        const char *value = NULL;

        for (size_t i = 0; i < json_len(run->notes); i++)
                value = json_str(json_at(run->notes, i), key) ?: value;
        return value;
}

static bool was_shut_down(StepRun *run) {
        for (size_t i = 0; i < json_len(run->notes); i++)
                if (json_flag(json_at(run->notes, i), "shutdown"))
                        return true;
        return false;
}

int mounts_back_note(json_object *args, dev_t dev, StepRun *run) {
        _cleanup_free_ char *uuid = NULL;

        if (dev == 0 || noted(run, "uuid"))
                return 0;
        int r = blockdev_fs_uuid(dev, &uuid);
        if (r < 0)
                return step_fail(run, r, "/dev/disk/by-uuid cannot be read: %s", strerror(-r));
        if (!uuid)
                return 0;
        json_object *note = json_object_new_object();
        json_set_str(note, "uuid", uuid);
        return step_note(run, note);
}

/* The device as it is called now: the same name with the same file system on it, or wherever udev found that. */
static int find_device(const char *source, const char *uuid, char **ret_source, dev_t *ret_dev) {
        _cleanup_free_ char *link = strf("/dev/disk/by-uuid/%s", uuid ?: ""), *same = NULL;
        dev_t dev = 0;

        int r = blockdev_number_of_path(source, &dev);
        if (r >= 0 && uuid && (blockdev_fs_uuid(dev, &same) < 0 || !streq_ptr(same, uuid)))
                r = -ENODEV;
        if (r < 0 && uuid && link && blockdev_number_of_path(link, &dev) >= 0) {
                source = link;
                r = 0;
        }
        if (r < 0)
                return r;
        *ret_source = strdup(source);
        *ret_dev = dev;
        return *ret_source ? 0 : -ENOMEM;
}

static int wait_for_device(const char *source, StepRun *run, char **ret_source, dev_t *ret_dev) {
        uint64_t deadline = now_monotonic() + (run->backwards ? DEVICE_TIMEOUT_SEC : 0) * USEC_PER_SEC;
        const char *uuid = noted(run, "uuid");
        int r;

        while ((r = find_device(source, uuid, ret_source, ret_dev)) < 0 && now_monotonic() < deadline)
                step_pause(run, DEVICE_RETRY_MSEC);
        return r < 0 ? step_fail(run, r, "%s with the file system %s is not there", source, uuid ?: "of the plan") : 0;
}

static int back_init(Back *b, json_object *args, StepRun *run) {
        b->fs = json_get(args, "fs");
        b->mounts = json_array(args, "mounts");
        b->now.type = json_str(b->fs, "type");

        const char *source = json_str(b->fs, "source");
        if (!source || !b->now.type || !json_str(b->fs, "super_options"))
                return step_fail(run, -EBADMSG, "the plan does not say which file system");
        int r = *source == '/' ? wait_for_device(source, run, &b->source, &b->now.dev) : 0;
        if (r < 0)
                return r;
        b->source = b->source ?: strdup(source);
        /* What the kernel shows is the device's number only where a file system has exactly one. */
        if (streq(b->now.type, "btrfs"))
                b->now.dev = 0;
        r = mount_ns_host(&b->host);
        if (r >= 0)
                r = mount_ns_list(&b->namespaces);
        return r < 0 ? step_fail(run, r, "the mount namespaces cannot be listed: %s", strerror(-r)) : 0;
}

static int look(Back *b, StepRun *run) {
        json_object_put(TAKE_PTR(b->found));
        int r = mounts_find(&b->now, run->limits->write_timeout_usec, &b->found);

        return r < 0 ? step_fail(run, r, "the mount namespaces cannot be looked through: %s", strerror(-r)) : 0;
}

static bool namespace_exists(const Back *b, json_object *mount) {
        for (size_t i = 0; i < b->namespaces.n_items; i++)
                if (b->namespaces.items[i].id == json_u64(mount, "ns"))
                        return true;
        return false;
}

static bool is_there(const Back *b, json_object *mount) {
        for (size_t i = 0; i < json_len(b->found); i++) {
                json_object *m = json_at(b->found, i);
                if (json_u64(m, "ns") == json_u64(mount, "ns") && streq_ptr(json_str(m, "target"), json_str(mount, "target")) &&
                    streq_ptr(json_str(m, "root"), json_str(mount, "root")))
                        return true;
        }
        return false;
}

int mounts_back_verify(json_object *args, StepRun *run) {
        _cleanup_(back_done) Back b = { 0 };
        size_t there = 0, missing = 0;

        int r = back_init(&b, args, run);
        if (r == -ENODEV)
                return STEP_APPLIED;
        if (r >= 0)
                r = look(&b, run);
        if (r < 0)
                return r;
        for (size_t i = 0; i < json_len(b.mounts); i++) {
                json_object *m = json_at(b.mounts, i);
                if (is_there(&b, m))
                        there++;
                else
                        missing += namespace_exists(&b, m);
        }
        return missing == 0 ? STEP_NOT_APPLIED : there > 0 ? STEP_PARTLY_APPLIED : STEP_APPLIED;
}

static int one_back(Back *b, json_object *mount, StepRun *run) {
        _cleanup_free_ char *lost = NULL, *why = NULL;
        const char *target = json_str(mount, "target");

        int r = mount_again(b->fs, mount, b->source, run->limits->write_timeout_usec, &lost, &why);
        /* The namespace has gone with its last process. */
        if (r == -ENOENT && !why)
                return 0;
        if (r < 0) {
                step_remedy(run, "mount -t %s -o %s %s %s", b->now.type, json_str(b->fs, "super_options"), b->source, target);
                return step_fail(run, r, "%s", why ?: strerror(-r));
        }
        if (lost)
                step_lost(run, "%s is mounted again, without the option %s that it had", target, lost);
        return look(b, run);
}

/* One that was shut down and never came off is of no use to anybody as it is. */
static int end_dead(Back *b, StepRun *run) {
        _cleanup_json_ json_object *left = NULL;

        int r = fs_unmount(&b->now, run->limits->write_timeout_usec, &left);
        if (r < 0 || json_len(left) > 0) {
                step_remedy(run, "umount %s && mount %s %s", json_str(json_at(left, 0), "target") ?: "?", b->source,
                            json_str(json_at(left, 0), "target") ?: "?");
                return step_fail(run, r < 0 ? r : -EBUSY, "%s was shut down and is still in use; it works again when it was unmounted", b->source);
        }
        return look(b, run);
}

/* The last one taken is the first to come back. What is below a shared mount comes by itself in the namespaces that follow the
 * host's, and systemd may have mounted some again: only what is missing is mounted. */
int mounts_back(json_object *args, StepRun *run) {
        _cleanup_(back_done) Back b = { 0 };
        int first = 0;

        int r = back_init(&b, args, run);
        if (r >= 0)
                r = look(&b, run);
        if (r >= 0 && json_len(b.found) > 0 && was_shut_down(run))
                r = end_dead(&b, run);
        if (r < 0)
                return r;
        for (unsigned others = 0; others < 2; others++)
                for (size_t i = json_len(b.mounts); i > 0; i--) {
                        json_object *m = json_at(b.mounts, i - 1);
                        if ((json_u64(m, "ns") != b.host) != others || is_there(&b, m) || !namespace_exists(&b, m))
                                continue;
                        r = one_back(&b, m, run);
                        if (r < 0 && first == 0)
                                first = r;
                }
        return first;
}
