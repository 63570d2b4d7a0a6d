/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "base/clock.h"
#include "kernel/blockdev.h"
#include "step/device-back.h"

enum {
        /* How long a device that came back may take to have its node and udev's links, and how often we look. */
        DEVICE_TIMEOUT_SEC = 10,
        DEVICE_RETRY_MSEC = 50,
};

json_object *step_noted_object(StepRun *run, const char *key) {
        for (size_t i = json_len(run->notes); i > 0; i--)
                if (json_has(json_at(run->notes, i - 1), key))
                        return json_get(json_at(run->notes, i - 1), key);
        return NULL;
}

const char *step_noted(StepRun *run, const char *key) {
        json_object *o = step_noted_object(run, key);

        return json_object_is_type(o, json_type_string) ? json_object_get_string(o) : NULL;
}

bool step_noted_flag(StepRun *run, const char *key) {
        for (size_t i = 0; i < json_len(run->notes); i++)
                if (json_flag(json_at(run->notes, i), key))
                        return true;
        return false;
}

int device_note(StepRun *run, dev_t dev) {
        _cleanup_free_ char *uuid = NULL;
        char boot[33];

        if (dev == 0 || step_noted(run, "uuid"))
                return 0;
        int r = blockdev_fs_uuid(dev, &uuid);
        if (r < 0)
                return step_fail(run, r, "/dev/disk/by-uuid cannot be read: %s", strerror(-r));
        if (!uuid)
                return 0;
        r = boot_id_read(boot);
        if (r < 0)
                return step_fail(run, r, "the boot's number cannot be read: %s", strerror(-r));
        json_object *note = json_object_new_object();
        json_set_str(note, "uuid", uuid);
        json_set_str(note, "boot", boot);
        json_set_u64(note, "last_disk", blockdev_last_sequence());
        return step_note(run, note);
}

/* It bears another name now, as it may where its disk went and came back: so that came behind all that were there before. Who was there has the same
 * content, and is another one (a copy, a snapshot). */
static bool came_back(StepRun *run, dev_t dev) {
        const char *then = step_noted(run, "boot");
        char boot[33];

        if (!then || boot_id_read(boot) < 0 || !streq(then, boot))
                return true;
        uint64_t sequence = blockdev_sequence(dev);
        return sequence == 0 || sequence > json_object_get_uint64(step_noted_object(run, "last_disk"));
}

static int find(StepRun *run, const char *path, const char *uuid, char **ret_path, dev_t *ret_dev) {
        _cleanup_free_ char *link = strf("/dev/disk/by-uuid/%s", uuid ?: ""), *same = NULL;
        dev_t dev = 0;

        int r = blockdev_number_of_path(path, &dev);
        if (r >= 0 && uuid && (blockdev_fs_uuid(dev, &same) < 0 || !streq_ptr(same, uuid)))
                r = -ENODEV;
        if (r < 0 && uuid && link && blockdev_number_of_path(link, &dev) >= 0 && came_back(run, dev)) {
                path = link;
                r = 0;
        }
        if (r < 0)
                return r;
        *ret_path = strdup(path);
        *ret_dev = dev;
        return *ret_path ? 0 : -ENOMEM;
}

int device_find(StepRun *run, const char *path, char **ret_path, dev_t *ret_dev) {
        uint64_t deadline = now_monotonic() + time_for((run->backwards ? DEVICE_TIMEOUT_SEC : 0) * USEC_PER_SEC);
        const char *uuid = step_noted(run, "uuid");
        int r;

        while ((r = find(run, path, uuid, ret_path, ret_dev)) < 0 && now_monotonic() < deadline)
                step_pause(run, DEVICE_RETRY_MSEC);
        return r < 0 ? step_fail(run, r, "%s%s%s is not there", path, uuid ? " with the content " : "", uuid ?: "") : 0;
}
