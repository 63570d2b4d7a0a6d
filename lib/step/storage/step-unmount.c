/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Unmounts one file system in every mount namespace that has it: in the host's first, since its unmounts propagate to the
 * namespaces of services. It is done only when the kernel has ended it: no mount anywhere, and the super block
 * gone, which a mount that cannot be seen (lazily unmounted, detached) would keep. A user that appears meanwhile is
 * waited for a little (udev opens devices for moments) and then named. */
#include <errno.h>
#include <fcntl.h>
#include <sys/sysmacros.h>

#include "base/clock.h"
#include "holders/process.h"
#include "kernel/block/blockdev.h"
#include "kernel/block/claims.h"
#include "kernel/block/loop.h"
#include "kernel/mounts/mount-options.h"
#include "kernel/mounts/unmount.h"
#include "kernel/sysfs/attr.h"
#include "step/evict/shutdown.h"
#include "step/evict/users.h"
#include "step/undo/device-back.h"
#include "step/undo/mount-back.h"

enum {
        BUSY_RETRY_MSEC = 100,
        BUSY_TRIES = 20,
        UNMOUNT_SEC = 30,       /* and no try but the last is begun after that, however many mounts somebody made */

        /* The last reference of a super block is dropped by whoever had it, in his time. The kernel has no event for it. */
        GONE_RETRY_MSEC = 50,
        GONE_TIMEOUT_SEC = 10,

        KEEPER_SEC = 5,         /* to find out who may keep it, once it has failed */
};

static FsShutdown shutdown_wanted(json_object *args) {
        return fs_shutdown_from_string(json_str(args, "shutdown"));
}

static void unmount_describe(json_object *args, char **ret_does, char **ret_undo) {
        json_object *fs = json_get(args, "fs"), *mounts = json_array(args, "mounts"), *first = json_at(mounts, json_len(mounts) - 1);
        size_t n = json_len(mounts);
        const char *target = json_str(first, "target") ?: "?", *type = json_str(fs, "type"), *source = json_str(fs, "source");
        _cleanup_free_ char *more = n > 1 ? strf(" and %zu more place%s", n - 1, n > 2 ? "s" : "") : NULL;

        *ret_does = strf("sync and umount %s (%s on %s)%s, in every mount namespace%s%s", target, type, source, more ?: "",
                         shutdown_wanted(args) == FS_SHUTDOWN_NO ? "" : "; shut the file system down where it stays busy (forced)",
                         json_flag(args, "leave_mapped") ? " (forced: only sync it where somebody still has it mapped)" : "");
        *ret_undo = strf("mount -t %s -o %s %s %s%s", type, json_str(fs, "super_options"), source, target, more ?: "");
}

static int unmount_check(json_object *args, StepRun *run) {
        _cleanup_json_ json_object *found = NULL;
        MountedFs fs;

        int r = fs_args_read(args, &fs, run);
        if (r >= 0)
                r = fs_args_find(&fs, run, &found);
        for (size_t i = 0; i < json_len(found) && r >= 0; i++) {
                json_object *m = json_at(found, i), *above = json_at(json_array(m, "on_top"), 0);
                if (!above)
                        continue;
                _cleanup_free_ char *target = shell_quoted(json_object_get_string(above));
                step_remedy(run, "nsenter -t %ju -m umount -R %s", (uintmax_t) json_u64(m, "pid"), target);
                r = step_fail(run, -EBUSY, "%s is mounted below %s", json_object_get_string(above), json_str(m, "target"));
        }
        return r;
}

/* 1: it is still there, *ret_why says what was seen; 0: gone. */
static int superblock_alive(json_object *args, const MountedFs *fs, StepRun *run, char **ret_why) {
        dev_t dev = fs_args_device(args, fs);
        _cleanup_free_ char *name = NULL;

        if (dev == 0 || blockdev_name(dev, &name) < 0)
                return 0;
        if (superblock_exists(fs->type, name)) {
                *ret_why = strf("/sys/fs/%s/%s is still there", fs->type, name);
                return 1;
        }
        int r = blockdev_claimed(dev, run->limits->write_timeout_usec);
        if (r < 0)
                return step_fail(run, r, "whether %s is still in use cannot be found out: %s", name, strerror(-r));
        if (r > 0) {
                _cleanup_free_ char *holders = blockdev_holders(name);
                *ret_why = holders && *holders ? strf("%s is used by %s", name, holders)
                                               : strf("%s cannot be had exclusively", name);
        }
        return r;
}

/* Who keeps a namespace that has what nobody can take there (a locked copy that came after the plan was made, which tells of those before:
 * LOCKED_MOUNT) or more than there is time for. */
static char *end_command(uintmax_t ns, uintmax_t pid) {
        _cleanup_free_ char *folder = strf("/proc/%ju", pid), *unit = NULL;
        _cleanup_close_ int fd = pid > 0 && folder ? open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC) : -EBADF;

        if (pid == 0)
                return strf("find /proc/[0-9]*/fd -lname 'mnt:\\[%ju\\]'  # whose process keeps the namespace: end it", ns);
        return fd >= 0 && process_unit(fd, &unit) >= 0 ? process_end_command(unit, (int) pid) : NULL;
}

/* What less privileged users can have that keeps a file system and tells nobody of it: an overlay with a folder of it, whose path leads
 * elsewhere once they have another root; a program that a binfmt_misc of theirs keeps open (fs/binfmt_misc.c, "F"). For a person, newly allocated
 * with what ends it; NULL where nobody has any. */
static char *may_keep(char **ret_end) {
        static const struct {
                const char *type, *what;
        } kinds[] = {
                { "overlay", "an overlay" },
                { "binfmt_misc", "a binfmt_misc" },
        };

        for (size_t i = 0; i < ELEMENTSOF(kinds); i++) {
                const MountedFs fs = { .type = kinds[i].type };
                _cleanup_json_ json_object *found = NULL;
                json_object *first = NULL;
                size_t n = 0;

                (void) mounts_find(&fs, time_for(KEEPER_SEC * USEC_PER_SEC), &found);
                for (size_t j = 0; j < json_len(found); j++) {
                        json_object *m = json_at(found, j);
                        first = first ?: json_flag(m, "foreign") ? m : NULL;
                        n += json_flag(m, "foreign");
                }
                if (!first)
                        continue;
                _cleanup_free_ char *more = n > 1 ? strf(" (and %zu more)", n - 1) : NULL;
                *ret_end = end_command(json_u64(first, "ns"), json_u64(first, "pid"));
                return strf("process %ju, of less privileged users, has the mount %s of its own on %s%s, which may keep "
                            "it", (uintmax_t) json_u64(first, "pid"),
                            kinds[i].what, json_str(first, "target") ?: "?", more ?: "");
        }
        return NULL;
}

/* A freeze keeps the super block as well, and nothing tells of one but a write that hangs. */
static int lives_on(json_object *args, const char *why, StepRun *run) {
        json_object *mounts = json_array(args, "mounts");
        _cleanup_free_ char *target = shell_quoted(json_str(json_at(mounts, json_len(mounts) - 1), "target") ?: "/");

        _cleanup_free_ char *in_flight = step_in_flight(), *end = NULL, *unseen = may_keep(&end);

        if (end)
                step_remedy(run, "%s  # if that is what keeps it; of a freeze: fsfreeze -u %s, once it is mounted again", end, target);
        else
                step_remedy(run, "fsfreeze -u %s  # once it is mounted again; \"Invalid argument\": it was not frozen", target);
        return step_fail(run, -EBUSY, "no mount of %s is left, but its file system is still active (%s): a freeze (fsfreeze, a "
                         "backup), a lazily unmounted or detached mount or an overlay keeps it%s%s%s%s", json_str(json_get(args, "fs"), "source"), why,
                         in_flight ? "; " : "", in_flight ?: "", unseen ? "; " : "", unseen ?: "");
}

static int superblock_wait(json_object *args, const MountedFs *fs, StepRun *run) {
        uint64_t deadline = now_monotonic() + time_for(GONE_TIMEOUT_SEC * USEC_PER_SEC);

        for (;;) {
                _cleanup_free_ char *why = NULL;

                int r = superblock_alive(args, fs, run, &why);
                if (r <= 0)
                        return r;
                if (now_monotonic() >= deadline)
                        return lives_on(args, why, run);
                step_pause(run, GONE_RETRY_MSEC);
        }
}

static int unmount_verify(json_object *args, StepRun *run) {
        _cleanup_json_ json_object *found = NULL;
        _cleanup_free_ char *why = NULL;
        MountedFs fs;

        if (run->backwards)
                return mounts_back_verify(args, run);
        if (step_noted_flag(run, "left_mapped"))
                return STEP_APPLIED;
        int r = fs_args_read(args, &fs, run);
        if (r >= 0)
                r = fs_args_find(&fs, run, &found);
        if (r < 0)
                return r;
        if (json_len(found) > 0)
                return json_len(found) < json_len(json_array(args, "mounts")) ? STEP_PARTLY_APPLIED : STEP_NOT_APPLIED;
        r = superblock_alive(args, &fs, run, &why);
        return r < 0 ? r : r > 0 ? STEP_PARTLY_APPLIED : STEP_APPLIED;
}

/* first: what the kernel said about one that it did not take, or one that nobody had the time to try. */
static int busy_fail(const MountedFs *fs, json_object *first, size_t more, const char *users, StepRun *run) {
        const char *target = json_str(first, "target");
        uintmax_t pid = json_u64(first, "pid"), ns = json_u64(first, "ns");
        uint64_t error = json_u64(first, "error") ?: ETIME;
        bool busy = error == EBUSY, theirs = json_flag(first, "foreign") && (error == EINVAL || error == ETIME);
        _cleanup_free_ char *others = more > 0 ? strf(" (and %zu more)", more) : NULL, *quoted = shell_quoted(target);

        _cleanup_free_ char *end = theirs ? end_command(ns, pid) : NULL;
        _cleanup_free_ char *unseen = busy && !users ? step_unseen(TARGET_FS, fs->dev, target) : NULL;
        _cleanup_free_ char *in_flight = busy && !users && !unseen ? step_in_flight() : NULL;
        _cleanup_free_ char *end_keeper = NULL, *keeper = busy && !users && !unseen && !in_flight ? may_keep(&end_keeper) : NULL;
        const char *who = busy ? users ?: unseen ?: in_flight ?: keeper : NULL;

        if (end || end_keeper)
                step_remedy(run, end ? "%s" : "%s  # if that is what keeps it", end ?: end_keeper);
        else
                step_remedy(run, busy ? "nsenter -t %ju -m fuser -vm %s" : "ps -fp %ju  # its namespace has %s", pid, quoted);
        return step_fail(run, -EBUSY, "%s cannot be unmounted in the namespace of process %ju%s: %s%s%s", target, pid, others ?: "",
                         json_str(first, "why") ?: "there was no time left for it", who ? ": " : "", who ?: "");
}

/* A container's network has its name back when the container is started again. */
static void tell_names(json_object *found, StepRun *run) {
        for (size_t i = 0; i < json_len(found); i++) {
                json_object *names = json_array(json_at(found, i), "names");
                for (size_t j = 0; j < json_len(names); j++)
                        step_lost(run, "the name of the namespace %s", json_object_get_string(json_at(names, j)));
        }
}

static int sync_it(const MountedFs *fs, json_object *mount, StepRun *run) {
        _cleanup_free_ char *why = NULL;

        int r = fs_quiesce(fs, mount, FS_SHUTDOWN_NO, run->limits->write_timeout_usec, &why);
        /* Gone meanwhile: whoever unmounted it wrote everything back. */
        return r == -ESTALE || r == -ENOENT || r >= 0 ? 0 : step_fail(run, r, "%s", why ?: strerror(-r));
}

/* Before the first try. What may be shut down may be so by now (step-end-holders.c), and then has nothing to write; on media that is
 * gone there is nothing to write to. */
static int quiesce(json_object *args, const MountedFs *fs, json_object *mount, StepRun *run) {
        FsShutdown shutdown = shutdown_wanted(args);
        int r;

        if (shutdown == FS_SHUTDOWN_NO_FLUSH && fs_args_dead(args, run) <= 0)
                r = fs_args_shut_down(args, "nobody", run);
        else if (shutdown == FS_SHUTDOWN_NO_FLUSH)
                r = 0;
        else
                r = sync_it(fs, mount, run);
        bool dead = shutdown == FS_SHUTDOWN_FLUSH && r < 0 && r != -EINPROGRESS && fs_args_dead(args, run) > 0;
        return dead || r >= 0 ? 0 : r;
}

/* Before the last one. Nobody is seen to use it, so it is somebody who hangs on his way into it, as where it is frozen; he comes back when
 * it is shut down. Whoever is seen would be left with a dead file system. */
static int shut_down_unseen(json_object *args, const char *users, StepRun *run) {
        if (users || shutdown_wanted(args) == FS_SHUTDOWN_NO)
                return 0;
        int r = fs_args_shut_down(args, "somebody who cannot be seen", run);
        return r < 0 ? r : 0;
}

static bool follows_hosts(json_object *mount, json_object *found) {
        for (size_t i = 0; i < json_len(found); i++) {
                json_object *m = json_at(found, i);
                if (!json_flag(m, "foreign") && mount_follows(json_str(mount, "parent_propagation"), json_str(m, "parent_propagation")))
                        return true;
        }
        return false;
}

/* Of what stayed the first that is locked, or does not answer, and does not go with one of the host's own either, as in a plan
 * (plan/find/find-mounts.c); NULL: there is none. */
static int first_locked(json_object *found, json_object *left, json_object **ret) {
        _cleanup_(id_map_done) IdMap places = { 0 };
        int r = 0;

        *ret = NULL;
        for (size_t i = 0; i < json_len(found) && r >= 0; i++)
                r = id_map_add(&places, json_u64(json_at(found, i), "id"), i);
        for (size_t i = 0; i < json_len(left) && r >= 0 && !*ret; i++) {
                json_object *o = json_at(left, i);
                size_t at;
                bool stays = json_u64(o, "error") == EINVAL || json_u64(o, "error") == ETIME;
                if (stays && id_map_find(&places, json_u64(o, "id"), &at) && !follows_hosts(json_at(found, at), found))
                        *ret = o;
        }
        return r < 0 ? r : 0;
}

static bool has_both(json_object *found) {
        size_t n = 0;

        for (size_t i = 0; i < json_len(found); i++)
                n += json_flag(json_at(found, i), "foreign");
        return n > 0 && n < json_len(found);
}

/* Whoever made himself a locked copy since the plan was made is named before the host's own mounts are taken. What can be taken of his is:
 * nothing else tells what is locked. Who was ended takes his namespace along in his own time. */
static int refuse_locked(const MountedFs *fs, StepRun *run) {
        uint64_t deadline = now_monotonic() + time_for(UNMOUNT_SEC * USEC_PER_SEC);

        for (unsigned tries = 1;; tries++) {
                _cleanup_json_ json_object *found = NULL, *left = NULL, *still = NULL;
                json_object *locked = NULL;

                int r = fs_args_find(fs, run, &found);
                if (r >= 0 && tries == 1)
                        tell_names(found, run);
                if (r < 0 || !has_both(found))
                        return r;
                r = fs_unmount_foreign(fs, run->limits->write_timeout_usec, &left);
                if (r < 0)
                        return step_fail(run, r, "umount did not come back: %s", strerror(-r));
                r = json_len(left) > 0 ? fs_args_find(fs, run, &still) : 0;
                if (r >= 0)
                        r = first_locked(still, left, &locked);
                if (!locked)
                        return r;
                if (step_cancelled(run))
                        return step_fail(run, -ECANCELED, "cancelled");
                if (tries >= BUSY_TRIES || now_monotonic() >= deadline)
                        return busy_fail(fs, locked, 0, NULL, run);
                step_pause(run, BUSY_RETRY_MSEC);
        }
}

/* Until no mount is left, or what is left stays. */
static int unmount_all(json_object *args, const MountedFs *fs, StepRun *run) {
        _cleanup_json_ json_object *left = NULL;
        _cleanup_free_ char *users = NULL;
        uint64_t deadline = 0;
        bool last = false;

        for (unsigned tries = 0;; tries++) {
                _cleanup_json_ json_object *found = NULL;

                int r = fs_args_find(fs, run, &found);
                if (r < 0 || json_len(found) == 0)
                        return r;
                if (step_cancelled(run))
                        return step_fail(run, -ECANCELED, "cancelled");
                if (last)
                        return busy_fail(fs, json_at(left, 0) ?: json_at(found, 0), json_len(found) - 1, users, run);
                last = tries > 0 && (tries + 1 == BUSY_TRIES || now_monotonic() >= deadline);
                /* Before it may be shut down: after that nobody's files can be asked where they are. */
                if (last) {
                        users = step_fs_users(fs->dev, json_str(json_at(found, 0), "target"));
                        r = shut_down_unseen(args, users, run);
                } else if (tries == 0) {
                        r = quiesce(args, fs, json_at(found, 0), run);
                        /* What has to be written had its own time. */
                        deadline = now_monotonic() + time_for(UNMOUNT_SEC * USEC_PER_SEC);
                }
                if (r < 0)
                        return r;

                json_object_put(TAKE_PTR(left));
                r = fs_unmount(fs, run->limits->write_timeout_usec, &left);
                if (r < 0)
                        return step_fail(run, r, "umount did not come back: %s", strerror(-r));
                if (json_len(left) > 0)
                        step_pause(run, BUSY_RETRY_MSEC);
        }
}

/* A loop device that was set up by mount(8) would go with the last mount, and with it all that its own step has to note for
 * setting it up again. */
static int keep_loop(const MountedFs *fs, StepRun *run) {
        _cleanup_free_ char *name = NULL;
        uint64_t autoclear = 0;

        if (blockdev_name(fs->dev, &name) < 0 || !startswith(name, "loop") ||
            attr_read_u64f(&autoclear, "/sys/block/%s/loop/autoclear", name) < 0 || !autoclear)
                return 0;
        json_object *note = json_object_new_object();
        json_set_str(note, "autoclear", name);
        int r = step_note(run, note);
        if (r >= 0)
                r = loop_set_autoclear(name, false, run->limits->write_timeout_usec);
        return r < 0 ? step_fail(run, r, "%s cannot be kept: %s", name, strerror(-r)) : 0;
}

static bool has_it_mapped(const Holders *found) {
        for (size_t i = 0; i < found->n_items; i++)
                if (holder_maps(&found->items[i]))
                        return true;
        return false;
}

/* Where the request wants mappings taken, the mount stays until the memory below it goes (step-disable-namespace.c). 1: left. */
static int leave_mapped(json_object *args, const MountedFs *fs, StepRun *run) {
        _cleanup_(holders_freep) Holders *holders = NULL;
        _cleanup_json_ json_object *found = NULL;

        if (!json_flag(args, "leave_mapped"))
                return 0;
        int r = fs_args_find(fs, run, &found);
        if (r < 0 || json_len(found) == 0)
                return r;
        r = step_scan(TARGET_FS, fs->dev, json_str(json_at(found, 0), "target"), &holders);
        if (r < 0)
                return step_fail(run, r, "who uses %s cannot be found out: %s", json_str(json_at(found, 0), "target"), strerror(-r));
        if (!has_it_mapped(holders))
                return 0;
        r = sync_it(fs, json_at(found, 0), run);
        if (r < 0)
                return r;
        json_object *note = json_object_new_object();
        json_set_bool(note, "left_mapped", true);
        r = step_note(run, note);
        return r < 0 ? r : 1;
}

static int unmount_apply(json_object *args, StepRun *run) {
        MountedFs fs;

        int r = fs_args_read(args, &fs, run);
        if (r >= 0)
                r = device_note(run, fs_args_device(args, &fs));
        if (r >= 0)
                r = keep_loop(&fs, run);
        if (r >= 0)
                r = unmount_check(args, run);
        if (r >= 0)
                r = leave_mapped(args, &fs, run);
        if (r != 0)
                return r < 0 ? r : 0;
        r = refuse_locked(&fs, run);
        if (r >= 0)
                r = unmount_all(args, &fs, run);
        return r < 0 ? r : superblock_wait(args, &fs, run);
}

const StepOps step_unmount_ops = {
        .typical_usec = 300000,
        .args = "fs:o mounts:a",
        .describe = unmount_describe,
        .check = unmount_check,
        .apply = unmount_apply,
        .revert = mounts_back,
        .verify = unmount_verify,
};
