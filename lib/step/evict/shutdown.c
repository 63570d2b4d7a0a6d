/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <sys/sysmacros.h>

#include "kernel/block/blockdev.h"
#include "step/evict/shutdown.h"

int fs_args_read(json_object *args, MountedFs *ret, StepRun *run) {
        json_object *fs = json_get(args, "fs");
        dev_t dev;

        int r = dev_parse(json_str(fs, "dev"), &dev);
        if (r < 0 || !json_str(fs, "type") || !json_str(fs, "source"))
                return step_fail(run, -EBADMSG, "the plan does not say which file system");
        *ret = (MountedFs) { .dev = dev, .type = json_str(fs, "type") };
        return 0;
}

dev_t fs_args_device(json_object *args, const MountedFs *fs) {
        const char *source = json_str(json_get(args, "fs"), "source");
        dev_t dev = 0;

        if (major(fs->dev) != 0)
                return fs->dev;
        return *source == '/' && blockdev_number_of_path(source, &dev) >= 0 ? dev : 0;
}

int fs_args_find(const MountedFs *fs, StepRun *run, json_object **ret) {
        int r = mounts_find(fs, run->limits->write_timeout_usec, ret);

        return r < 0 ? step_fail(run, r, "the mount namespaces cannot be looked through: %s", mounts_find_error(r)) : 0;
}

json_object *fs_mount_to_ask(json_object *found) {
        for (size_t i = 0; i < json_len(found); i++) {
                const char *options = json_str(json_at(found, i), "options");
                bool read_only = options && startswith(options, "ro") && (options[2] == ',' || options[2] == '\0');
                if (!read_only && streq_ptr(json_str(json_at(found, i), "root"), "/"))
                        return json_at(found, i);
        }
        return json_at(found, 0);
}

int fs_args_dead(json_object *args, StepRun *run) {
        _cleanup_json_ json_object *found = NULL;
        MountedFs fs;

        int r = fs_args_read(args, &fs, run);
        if (r >= 0)
                r = fs_args_find(&fs, run, &found);
        if (r < 0 || json_len(found) == 0)
                return r;
        r = fs_is_shut_down(&fs, fs_mount_to_ask(found), run->limits->write_timeout_usec);
        if (r == -ESTALE || r == -ENOENT)
                return 0;
        return r < 0 ? step_fail(run, r, "whether %s is shut down cannot be found out: %s", json_str(json_get(args, "fs"), "source"),
                                 strerror(-r)) : r;
}

/* What the plan was made for must still be so: healthy media is never left without its last bytes, and a sync would never come back
 * where somebody holds up what is written. */
static int ready(json_object *args, const MountedFs *fs, FsShutdown how, StepRun *run) {
        _cleanup_free_ char *held_up = NULL, *remedy = NULL;
        const char *source = json_str(json_get(args, "fs"), "source");
        dev_t dev = fs_args_device(args, fs);

        if (how == FS_SHUTDOWN_NO_FLUSH)
                return fs_media_gone(dev) ? 0 : step_fail(run, -ESTALE, "%s was gone when the plan was made, and is there", source);
        held_up = fs_held_up_by(dev, &remedy);
        if (!held_up)
                return 0;
        step_remedy(run, "%s", remedy);
        return step_fail(run, -EBUSY, "%s, so %s cannot be shut down: what is in memory for it would not be written", held_up, source);
}

static int tell(json_object *args, FsShutdown how, bool late, const char *target, const char *users, StepRun *run) {
        json_object *fs = json_get(args, "fs"), *note = json_object_new_object();
        const char *type = json_str(fs, "type"), *source = json_str(fs, "source");
        bool flush = how == FS_SHUTDOWN_FLUSH;

        json_set_strf(note, "forced", "shutdown: %s (%s on %s), %s, for %s%s", target, type, source,
                      flush ? "all data and its log written first" : "nothing written, its device is gone", users,
                      late ? "; it had not come to its end when they were ended" : "");
        step_lost(run, "%s (%s on %s) was shut down: %s; whoever used it got an error for all that came later (%s)", target, type, source,
                  flush ? "what had been written to it until then is on the card, what programs had not written yet is lost" :
                  "its device was gone, and what had not been written to that is lost", users);
        return step_note(run, note);
}

static int begin(const MountedFs *fs, StepRun *run) {
        json_object *note = json_object_new_object();

        json_set_strf(note, "shutdown", "%u:%u", major(fs->dev), minor(fs->dev));
        return step_note(run, note);
}

int fs_args_shut_down(json_object *args, const char *users, StepRun *run) {
        FsShutdown how = fs_shutdown_from_string(json_str(args, "shutdown"));
        _cleanup_json_ json_object *found = NULL;
        _cleanup_free_ char *why = NULL;
        MountedFs fs;

        int r = fs_args_read(args, &fs, run);
        if (r >= 0)
                r = fs_args_find(&fs, run, &found);
        if (r < 0 || json_len(found) == 0 || how == FS_SHUTDOWN_NO)
                return r;
        json_object *mount = fs_mount_to_ask(found);
        r = ready(args, &fs, how, run);
        if (r >= 0)
                r = begin(&fs, run);
        if (r < 0)
                return r;
        step_progress(run, 0, 0, "shutting down %s", json_str(mount, "target"));
        r = fs_quiesce(&fs, mount, how, run->limits->write_timeout_usec, &why);
        if (r == -ESTALE || r == -ENOENT || r == -ENOTTY)
                return 0;
        if (r < 0 && r != -EINPROGRESS)
                return step_fail(run, r, "%s", why ?: strerror(-r));
        r = tell(args, how, r == -EINPROGRESS, json_str(mount, "target"), users, run);
        return r < 0 ? r : 1;
}
