/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What may be done about the users of a card that is gone. None of it is about saving anything: there is nothing behind it any more. */
#include <errno.h>
#include <poll.h>
#include <sys/sysmacros.h>

#include "base/clock.h"
#include "kernel/mounts/fs-shutdown.h"
#include "kernel/mounts/unmount.h"
#include "kernel/sysfs/attr.h"
#include "kernel/sysfs/quirks.h"
#include "plan/policy.h"
#include "step/step.h"
#include "incident-act.h"

#define FS_USEC (3 * USEC_PER_SEC)
#define UNMOUNT_USEC (10 * USEC_PER_SEC)
#define KERNEL_USEC (10 * USEC_PER_SEC) /* in which it takes the drivers of such a card away */
#define ALL_USEC (60 * USEC_PER_SEC)

enum {
        STACK_DEPTH_MAX = 8,
        KERNEL_POLL_MSEC = 50,
};

void incident_work_done(IncidentWork *w) {
        json_object_put(w->done);
        json_object_put(w->left);
}

/* "pmem0", "pmem1.2"; of "pmem0s" the kernel copies each block (BTT), and nobody maps its memory. */
static bool is_mappable(const char *block) {
        const char *number = block ? startswith(block, "pmem") : NULL;

        return number && *number && number[strspn(number, "0123456789.")] == '\0';
}

static bool has_mappable_memory(json_object *scope) {
        json_object *blocks = json_array(scope, "block_devices");

        for (size_t i = 0; i < json_len(blocks); i++)
                if (is_mappable(json_str(json_at(blocks, i), "name")))
                        return true;
        return false;
}

/* The first mount in the host's own namespace, else any. */
static json_object *shown_mount(json_object *mounts) {
        for (size_t i = 0; i < json_len(mounts); i++)
                if (!json_flag(json_at(mounts, i), "foreign") && json_str(json_at(mounts, i), "target"))
                        return json_at(mounts, i);
        return json_at(mounts, 0);
}

static uint64_t left_of(uint64_t until, uint64_t usec) {
        uint64_t now = now_monotonic(), left = now < until ? until - now : 0;

        return left < usec ? left : usec;
}

static void shut_down(const MountedFs *fs, json_object *mount, uint64_t until, IncidentWork *w) {
        const char *target = json_str(mount, "target") ?: "?";
        _cleanup_free_ char *why = NULL;

        int r = fs_shutdown_check(fs->type, NULL, &why);
        if (r >= 0)
                r = fs_quiesce(fs, mount, FS_SHUTDOWN_NO_FLUSH, left_of(until, FS_USEC), &why);
        if (r >= 0)
                incident_add(w->done, strf("%s on %s is shut down: nothing is written to it any more", fs->type, target));
        else
                incident_add(w->left, strf("%s on %s is not shut down: %s", fs->type, target, why ?: strerror(-r)));
}

static void unmount(const MountedFs *fs, const char *target, bool memory, uint64_t until, IncidentWork *w) {
        _cleanup_json_ json_object *busy = NULL, *mounts = NULL;
        _cleanup_free_ char *why = NULL;

        if (memory && forced_unmap_check(FORCED_FSDAX, NULL, &why) < 0) {
                incident_add(w->left, strf("%s on %s stays mounted, and must not be unmounted: %s", fs->type, target, why ?: "?"));
                w->reboot = true;
                return;
        }
        int r = fs_unmount(fs, left_of(until, UNMOUNT_USEC), &busy);
        if (r >= 0)
                r = mounts_find(fs, left_of(until, FS_USEC), &mounts);
        if (r >= 0 && json_len(mounts) == 0)
                incident_add(w->done, strf("%s on %s was unmounted", fs->type, target));
        else
                incident_add(w->left, strf("%s on %s is still mounted: %s", fs->type, target,
                                  r < 0 ? mounts_find_error(r) : json_str(json_at(busy, 0), "why") ?: "somebody uses it"));
}

/* What is there still, or stands on something else as well, is nobody's to take away. */
static void take_file_system(json_object *entry, bool memory, uint64_t until, IncidentWork *w) {
        MountedFs fs = { .type = json_str(entry, "type") };
        _cleanup_json_ json_object *mounts = NULL;

        if (!fs.type || dev_parse(json_str(entry, "dev") ?: "", &fs.dev) < 0 || major(fs.dev) == 0 || !fs_media_gone(fs.dev))
                return;
        int r = mounts_find(&fs, left_of(until, FS_USEC), &mounts);
        if (r < 0)
                incident_add(w->left, strf("where %s of %s is mounted cannot be found out: %s", fs.type, json_str(entry, "dev"), mounts_find_error(r)));
        if (r < 0 || json_len(mounts) == 0)
                return;
        _cleanup_free_ char *target = strdup(json_str(shown_mount(mounts), "target") ?: "?");
        shut_down(&fs, shown_mount(mounts), until, w);
        unmount(&fs, target ?: "?", memory, until, w);
}

/* 1: it was taken down, and what it stood on may be taken down next. */
static int take_mapping(const char *block, StepRun *run, IncidentWork *w, bool last) {
        _cleanup_free_ char *name = NULL, *number = NULL, *path = strf("/dev/%s", block);
        dev_t dev;

        bool is_dm = attr_readf(&name, "/sys/class/block/%s/dm/name", block) >= 0;
        if ((!is_dm && !path_existsf("/sys/class/block/%s/md", block)) || attr_readf(&number, "/sys/class/block/%s/dev", block) < 0 ||
            dev_parse(number, &dev) < 0 || !fs_media_gone(dev))
                return 0;
        const char *const remove[] = { "dmsetup", "remove", name, NULL }, *const stop[] = { "mdadm", "--stop", path, NULL };
        int r = step_command(run, is_dm ? remove : stop, NULL);
        if (r >= 0)
                incident_add(w->done, strf("%s (%s) had nothing below it and was taken down", block, is_dm ? name : "an array"));
        else if (last)
                incident_add(w->left, strf("%s (%s) has nothing below it and is still there: %s", block, is_dm ? name : "an array", run->why ?: strerror(-r)));
        return r >= 0;
}

/* From the top: each time round whatever nobody stands on any more. */
static void take_mappings(json_object *scope, uint64_t until, IncidentWork *w) {
        json_object *blocks = json_array(scope, "block_devices");
        Policy policy = policy_default();
        StepRun run = { .limits = &policy.limits };
        uint64_t write_usec = policy.limits.write_timeout_usec;
        bool any = true, last = false;

        for (unsigned depth = 0; depth < STACK_DEPTH_MAX && now_monotonic() < until && (any || !last); depth++) {
                last = !any;
                any = false;
                for (size_t i = json_len(blocks); i-- > 0 && now_monotonic() < until;) {
                        const char *name = json_str(json_at(blocks, i), "name");
                        policy.limits.write_timeout_usec = left_of(until, write_usec);
                        any = (name && take_mapping(name, &run, w, last) > 0) || any;
                }
        }
        step_run_done(&run);
        policy_done(&policy);
}

/* Its drivers tell file systems and others that the card has gone; until then nothing stands on nothing. Nobody tells when they are through. */
static void wait_for_kernel(json_object *scope, uint64_t until) {
        json_object *functions = json_array(scope, "functions");
        uint64_t end = now_monotonic() + left_of(until, KERNEL_USEC);

        for (size_t i = 0; i < json_len(functions); i++)
                while (path_existsf("/sys/bus/pci/devices/%s", json_object_get_string(json_at(functions, i))) && now_monotonic() < end)
                        (void) poll(NULL, 0, KERNEL_POLL_MSEC);
}

void incident_act(json_object *scope, IncidentWork *w) {
        json_object *file_systems = json_array(scope, "file_systems");
        bool memory = has_mappable_memory(scope);
        uint64_t until = now_monotonic() + ALL_USEC;

        w->done = json_object_new_array();
        w->left = json_object_new_array();
        incident_end_mappers(scope, memory, until, w);
        wait_for_kernel(scope, until);
        /* What was mounted last was mounted on others. */
        for (size_t i = json_len(file_systems); i-- > 0 && now_monotonic() < until;)
                take_file_system(json_at(file_systems, i), memory, until, w);
        take_mappings(scope, until, w);
}
