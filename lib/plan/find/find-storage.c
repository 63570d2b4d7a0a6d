/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <glob.h>

#include "base/clock.h"
#include "base/parse.h"
#include "kernel/block/loop.h"
#include "kernel/mounts/mount-options.h"
#include "kernel/sysfs/attr.h"
#include "plan/find/blockers.h"

#define MIB (UINT64_C(1) << 20)
#define SWAP_FILE "/var/swap-without-card" /* of the remedy: other swap, so that the card's can go */
enum {
        SWAP_HEADER_MIB = 1,
        LOOP_TIMEOUT_MSEC = 2000,
};

/* Where the system itself lives, as PID 1 sees it: nothing of this can be taken away under a running machine. */
static const char *const system_paths[] = { "/", "/usr", "/etc", "/var", "/var/log/journal", "/run", "/tmp" };

static void system_path_finding(Findings *f, const char *path, const char *what) {
        const Mount *m = topology_mount_of_path(f->t, topology_host_ns(f->t), path);

        if (!m || !scope_has_mount(f->s, f->t, m))
                return;
        json_object *o = finding(f, BLOCKER_SYSTEM_FS, true, "%s lies on this card: %s", path, what);
        json_set_strf(o, "evidence", "%s (%s) is mounted on %s", m->source, m->type, m->target);
        finding_remedy(o, "systemctl poweroff  # the running system needs this card");
}

static uint64_t memory_available(void) {
        _cleanup_free_ char *text = NULL;
        uint64_t kib = 0;

        if (attr_read("/proc/meminfo", &text) < 0)
                return 0;
        const char *p = strstr(text, "\nMemAvailable:");
        if (!p)
                return 0;
        p += strlen("\nMemAvailable:");
        p += strspn(p, " ");
        _cleanup_free_ char *number = strndup(p, strcspn(p, " \n"));
        return number && parse_u64(number, &kib) >= 0 ? kib * 1024 : 0;
}

static void find_swap_room(Findings *f) {
        const Scope *all = findings_all(f);
        uint64_t going = 0, free_elsewhere = 0, available = memory_available(), memory = findings_bytes_going(f);

        for (size_t i = 0; i < f->t->n_swaps; i++)
                free_elsewhere += f->t->swaps[i].size - f->t->swaps[i].used;
        for (size_t i = 0; i < all->n_swaps; i++) {
                going += all->swaps[i]->used;
                free_elsewhere -= all->swaps[i]->size - all->swaps[i]->used;
        }
        available = available > memory ? available - memory : 0;
        if (f->s->n_swaps == 0 || going <= available + free_elsewhere)
                return;
        uint64_t missing = (going - available - free_elsewhere + MIB - 1) / MIB;
        json_object *o = finding(f, BLOCKER_NO_ROOM, true, "the memory that is swapped out to the card fits nowhere else");
        json_set_strf(o, "evidence", "%ju MiB are swapped out to it; %ju MiB of memory and %ju MiB of other swap are free",
                      (uintmax_t) (going >> 20), (uintmax_t) (available >> 20), (uintmax_t) (free_elsewhere >> 20));
        finding_remedy(o, "(umask 077; dd if=/dev/zero of=" SWAP_FILE " bs=1M count=%ju) && mkswap " SWAP_FILE " && swapon " SWAP_FILE
                       "  # or stop what uses the memory", (uintmax_t) missing + SWAP_HEADER_MIB);
}

static bool is_mounted(const Findings *f, const BlockDevice *b) {
        for (size_t i = 0; i < f->s->n_mounts; i++)
                if (f->s->mounts[i]->dev == b->dev)
                        return true;
        return false;
}

/* A loop device whose file has no name any more: it can be detached, and never attached again. */
static void find_last_holds(Findings *f) {
        for (size_t i = 0; i < f->s->n_blocks; i++) {
                const BlockDevice *b = f->s->blocks[i];
                if (b->kind != BLOCK_LOOP || !b->label)
                        continue;
                json_object *o;
                if (!loop_has_last_hold(b->name, LOOP_TIMEOUT_MSEC * USEC_PER_MSEC)) {
                        if (!loop_leads_elsewhere(b->name, LOOP_TIMEOUT_MSEC * USEC_PER_MSEC))
                                continue;
                        /* Its file has a name, in another mount namespace or below what was mounted over it since. */
                        o = finding(f, BLOCKER_NO_WAY_BACK, false, "the path of the file of %s (%s) leads to another file now: it is detached, and "
                                    "not attached again", b->name, b->label);
                        json_set_strf(o, "evidence", "/sys/block/%s/loop/backing_file: %s; it is not the file that losetup -l shows by its inode", b->name,
                                      b->label);
                        finding_remedy(o, "losetup -O NAME,BACK-INO,BACK-MAJ:MIN,BACK-FILE /dev/%s  # which file it is; attach it by hand afterwards",
                                       b->name);
                        continue;
                }
                o = finding(f, BLOCKER_LAST_HOLD, true, "%s keeps a deleted file (%s): once detached, it could not be attached "
                            "again", b->name, b->label);
                json_set_strf(o, "evidence", "/sys/block/%s/loop/backing_file: %s", b->name, b->label);
                _cleanup_free_ char *unmount = is_mounted(f, b) ? strf("umount -A /dev/%s && ", b->name) : strdup("");
                finding_remedy(o, "%s" SAVED_DIR " && dd if=/dev/%s of=\"$saved/%s.img\" bs=1M conv=fsync && losetup -d /dev/%s",
                               unmount ?: "", b->name, b->name, b->name);
        }
}

/* swapoff(2) wants a name. Where a file really has this one, it is there. */
static void find_nameless_swap(Findings *f) {
        for (size_t i = 0; i < f->s->n_swaps; i++) {
                const Swap *w = f->s->swaps[i];

                if (!w->file || !endswith(w->path, " (deleted)"))
                        continue;
                json_object *o = finding(f, BLOCKER_LAST_HOLD, true, "the swap file %s is deleted, and can no longer be switched off", w->path);
                json_set_strf(o, "evidence", "/proc/swaps: %s", w->path);
                finding_remedy(o, "systemctl reboot  # only a reboot releases it");
        }
}

/* Which devices it has lost the kernel says of each by its number (fs/btrfs/sysfs.c:btrfs_devinfo_missing_show). Mounted it goes on without,
 * and without the word "degraded" nobody mounts it again. */
static bool has_lost_device(const char *device, char **ret_evidence) {
        _cleanup_free_ char *pattern = strf("/sys/fs/btrfs/*/devices/%s", device);
        _cleanup_(globfree) glob_t volumes = { 0 }, lost = { 0 };

        if (!pattern || glob(pattern, 0, NULL, &volumes) != 0)
                return false;
        const char *volume = volumes.gl_pathv[0];
        _cleanup_free_ char *missing = strf("%.*sdevinfo/*/missing", (int) (strstr(volume, "/devices/") + 1 - volume), volume);
        if (!missing || glob(missing, 0, NULL, &lost) != 0)
                return false;
        for (size_t i = 0; i < lost.gl_pathc; i++) {
                uint64_t is_missing = 0;
                if (attr_read_u64f(&is_missing, "%s", lost.gl_pathv[i]) < 0 || is_missing == 0)
                        continue;
                *ret_evidence = strf("%s reads 1", lost.gl_pathv[i]);
                return true;
        }
        return false;
}

static void find_degraded_volumes(Findings *f) {
        for (size_t i = 0; i < f->s->n_mounts; i++) {
                const Mount *m = f->s->mounts[i];
                bool first = i == 0 || m->dev != f->s->mounts[i - 1]->dev;
                if (!first || !streq_ptr(m->type, "btrfs") || mount_has_option(m->super_options, "degraded"))
                        continue;
                const FileSystem *fs = topology_file_system(f->t, m->dev);
                _cleanup_free_ char *evidence = NULL, *place = shell_quoted(m->target);
                if (!fs || fs->n_devices == 0 || !has_lost_device(fs->devices[0], &evidence))
                        continue;
                json_object *o = finding(f, BLOCKER_PARTIAL, false, "the btrfs on %s has lost a device, and would not be mounted again without it", m->target);
                json_set_str(o, "evidence", evidence);
                finding_remedy(o, "mount -o remount,degraded %s  # then it comes back the same way", place ?: "");
        }
}

/* A file system of several devices goes as a whole, too. */
static void find_spanning_file_systems(Findings *f) {
        for (size_t i = 0; i < f->t->n_file_systems; i++) {
                const FileSystem *fs = &f->t->file_systems[i];
                const char *ours = NULL, *other = NULL;

                for (size_t j = 0; j < fs->n_devices; j++)
                        if (findings_block(f, fs->devices[j]))
                                ours = fs->devices[j];
                        else
                                other = fs->devices[j];
                if (!ours || !other)
                        continue;
                json_object *o = finding(f, BLOCKER_SPANS_DEVICES, false, "the %s on %s stands on %s too, which is not on this card, and is taken "
                                         "down as a whole", fs->type, ours, other);
                json_set_strf(o, "evidence", "%zu devices have a part of it", fs->n_devices);
                finding_remedy(o, "lsblk -f  # what it stands on");
        }
}

int find_storage(Findings *f) {
        for (size_t i = 0; i < ELEMENTSOF(system_paths); i++)
                system_path_finding(f, system_paths[i], "the system runs from it");
        if (f->request->state_dir)
                system_path_finding(f, f->request->state_dir, "the records of removals are kept there");
        int r = find_mounts(f);
        if (r < 0)
                return r;
        find_last_holds(f);
        find_nameless_swap(f);
        find_stacks(f);
        find_swap_room(f);
        find_spanning_file_systems(f);
        find_degraded_volumes(f);
        return 0;
}
