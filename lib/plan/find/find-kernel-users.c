/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Users that are neither processes nor mounts and that no step takes down: they are in the way, and so is one that may use anything as
 * long as there is something on the card that it could be. */
#include <errno.h>

#include "base/clock.h"
#include "kernel/mounts/mount-ns-list.h"
#include "kernel/sysfs/attr.h"
#include "plan/find/blockers.h"

enum {
        POOL_TIMEOUT_SEC = 5,
        LEFT_OUT_TOLD_MAX = 3, /* users */
};

static bool is_mounted_in_scope(const Scope *s, dev_t dev) {
        for (size_t i = 0; i < s->n_mounts; i++)
                if (s->mounts[i]->dev == dev)
                        return true;
        return false;
}

/* A file system that has the device among others and goes with the card takes this use along. */
static bool goes_with_file_system(const Findings *f, const char *block) {
        for (size_t i = 0; i < f->t->n_file_systems; i++) {
                const FileSystem *fs = &f->t->file_systems[i];
                for (size_t j = 0; j < fs->n_devices; j++)
                        if (streq(fs->devices[j], block) && is_mounted_in_scope(f->s, fs->dev))
                                return true;
        }
        return false;
}

static void user_finding(Findings *f, const KernelUse *u, const char *what) {
        bool itself = u->user.kind == KERNEL_USER_DEVICE;
        const char *on = itself ? NULL : u->user.on;
        json_object *o = finding(f, BLOCKER_KERNEL_USER, true, itself ? "%s is in use by %s" : "the kernel uses %s: %s", what, u->user.who);

        json_set_strf(o, "evidence", "%s%s%s", u->user.evidence, on ? ": " : "", on ?: "");
        finding_remedy(o, "%s", u->user.remedy);
}

/* Does anything that the topology knows stand right on it? */
static bool is_explained(const Findings *f, const BlockDevice *b) {
        for (size_t i = 0; i < f->t->n_block_devices; i++)
                for (size_t j = 0; j < f->t->block_devices[i].n_lower; j++)
                        if (streq(f->t->block_devices[i].lower[j], b->name))
                                return true;
        for (size_t i = 0; i < f->t->n_swaps; i++)
                if (!f->t->swaps[i].file && f->t->swaps[i].dev == b->dev)
                        return true;
        for (size_t i = 0; i < f->t->n_file_systems; i++)
                for (size_t j = 0; j < f->t->file_systems[i].n_devices; j++)
                        if (streq(f->t->file_systems[i].devices[j], b->name))
                                return true;
        return false;
}

static bool has_word(const char *text, const char *path) {
        size_t n = strlen(path);

        for (const char *p = text; (p = strstr(p, path)); p += n)
                if (strchr(" \t\n", p[n])) /* or the end */
                        return true;
        return false;
}

/* No file of the kernel's tells which devices a pool has. zpool(8) does; without it everything that could be one counts. */
static void pool_findings(Findings *f, const KernelUse *u) {
        _cleanup_free_ char *devices = NULL;
        bool told = zfs_pool_devices(u->user.who, POOL_TIMEOUT_SEC * USEC_PER_SEC, &devices) >= 0;

        for (size_t i = 0; i < f->s->n_blocks; i++) {
                const BlockDevice *b = f->s->blocks[i];
                _cleanup_free_ char *path = strf("/dev/%s", b->name);
                if (b->dev == 0 || !path || is_explained(f, b) || (told && !has_word(devices, path)))
                        continue;
                json_object *o = finding(f, BLOCKER_KERNEL_USER, true, "the ZFS pool %s %s %s", u->user.who, told ? "is on" : "may be on", b->name);
                json_set_strf(o, "evidence", "%s; %s", u->user.evidence, told ? "zpool list -v names it" :
                              "the kernel does not tell which devices a pool has, zpool(8) could not be asked, and no other user of this device is "
                              "known");
                finding_remedy(o, "zpool status -P -L  # what is on it");
                finding_remedy(o, "%s", u->user.remedy);
        }
}

static void use_finding(Findings *f, const KernelUse *u) {
        if (u->user.kind == KERNEL_USER_POOL) {
                pool_findings(f, u);
                return;
        }
        if (u->elsewhere || u->user.kind == KERNEL_USER_WORK)
                return;
        if (u->block) {
                bool with_fs = u->user.kind == KERNEL_USER_JOURNAL || u->user.kind == KERNEL_USER_MEMBER;
                if (scope_has_block_device(f->s, u->block) && !(with_fs && goes_with_file_system(f, u->block)))
                        user_finding(f, u, u->block);
        } else if (u->file_system) {
                if (is_mounted_in_scope(f->s, u->file_system))
                        user_finding(f, u, u->user.on);
        } else if (u->bdf) {
                if (scope_has_function(f->s, u->bdf))
                        user_finding(f, u, u->bdf);
        } else if (f->s->n_blocks > 0) {
                user_finding(f, u, "a device that could not be identified, and may be on this card");
        }
}

static bool is_told(const Findings *f, const char *name) {
        for (size_t i = 0; i < f->t->n_uses; i++)
                if (f->t->uses[i].user.kind == KERNEL_USER_ZRAM && streq(f->t->uses[i].user.who, name))
                        return true;
        return false;
}

/* A device on top of the card's that no step knows how to take down: bcache, DRBD, whatever else claims its lower ones with a link. */
static void stack_finding(Findings *f, const BlockDevice *b) {
        json_object *o = finding(f, BLOCKER_KERNEL_USER, true, "%s is built on %s, and this version cannot take it down", b->name, b->lower[0]);

        json_set_strf(o, "evidence", "/sys/block/%s/slaves/%s", b->name, b->lower[0]);
        if (startswith(b->name, "bcache")) {
                finding_remedy(o, "echo 1 > /sys/block/%s/bcache/cache/unregister  # the card is the cache: writes back what is in it", b->name);
                finding_remedy(o, "umount -A /dev/%s; echo 1 > /sys/block/%s/bcache/stop  # the card has the data", b->name, b->name);
        } else if (startswith(b->name, "drbd"))
                finding_remedy(o, "drbdsetup detach %s  # lets go of the disk; while %s is in use a peer must have all of the data",
                               b->name + strlen("drbd"), b->name);
        else
                finding_remedy(o, "lsblk -s /dev/%s  # shows what it is; take it down with its own tools", b->name);
}

static bool is_known_file_system(const Findings *f, const char *block) {
        for (size_t i = 0; i < f->t->n_file_systems; i++)
                for (size_t j = 0; j < f->t->file_systems[i].n_devices; j++)
                        if (streq(f->t->file_systems[i].devices[j], block))
                                return true;
        return false;
}

static char *left_out_text(const Findings *f) {
        size_t n = f->t->n_namespaces_left_out;

        return n > 0 ? strf("%zu mount namespace%s that were not looked through", n, n > 1 ? "s" : "") : NULL;
}

/* Whose they are, and what was too long: "user 1000 has 3, 1 of them with a longer table of mounts than there was room for, which is 4 MiB at most
 * (namespace 4026532700 of process 777)". */
static char *left_out_users(const Findings *f) {
        char *all = strdup("");

        for (size_t i = 0; i < f->t->n_left_out && i < LEFT_OUT_TOLD_MAX; i++) {
                const LeftOut *l = &f->t->left_out[i];
                _cleanup_free_ char *too_long = NULL, *in = l->pid > 0 ? strf(" of process %d", l->pid) : strdup("");
                if (l->n_long > 0)
                        too_long = strf(", %zu of them with a longer table of mounts than there was room for, which is %d MiB at most", l->n_long,
                                        MOUNT_NS_TABLE_BYTES >> 20);
                (void) text_add(&all, ", ", "user %u has %zu%s (namespace %ju%s)", l->owner, l->n, too_long ?: "", (uintmax_t) l->ns, in ?: "");
        }
        if (f->t->n_left_out > LEFT_OUT_TOLD_MAX)
                (void) text_add(&all, ", ", "and %zu more users", f->t->n_left_out - LEFT_OUT_TOLD_MAX);
        return all;
}

/* Who makes too many must not keep a card where it is. A mount of it in there goes with the host's, or keeps its super block, and the step that
 * unmounts it waits for that. */
static void find_left_out(Findings *f) {
        _cleanup_free_ char *text = left_out_text(f), *users = left_out_users(f);

        if (!text || f->s->n_blocks == 0)
                return;
        json_object *o = finding(f, BLOCKER_NOT_UNDERSTOOD, false, "there are %s", text);
        json_set_strf(o, "evidence", "users have made more of them, or larger ones, than a look has time for; a file system of this card that is mounted "
                      "there goes with its mounts elsewhere, or its super block tells%s%s", users && *users ? "; " : "", users ?: "");
        finding_remedy(o, "lsns -t mnt -o NS,PID,USER,COMMAND  # whose they are");
}

/* A super block that lives on though nothing shows its mount: it was unmounted lazily, or detached, and somebody is still in it. It writes
 * until he has gone. */
static void find_left_file_system(Findings *f, const BlockDevice *b) {
        static const char *const types[] = { "ext4", "xfs", "f2fs", "nilfs2" };

        for (size_t i = 0; i < ELEMENTSOF(types); i++) {
                if (!path_existsf("/sys/fs/%s/%s", types[i], b->name) || is_known_file_system(f, b->name))
                        continue;
                json_object *o = finding(f, BLOCKER_KERNEL_USER, true, "the %s on %s is still in use by the kernel, and no mount of it can be "
                                         "seen", types[i], b->name);
                _cleanup_free_ char *elsewhere = left_out_text(f);
                json_set_strf(o, "evidence", "/sys/fs/%s/%s; it was unmounted lazily, or is in a mount that somebody has detached%s%s", types[i],
                              b->name, elsewhere ? ", or in one of " : "", elsewhere ?: "");
                if (f->t->n_namespaces_left_out > 0) {
                        finding_remedy(o, "lsns -t mnt -o NS,PID,USER,COMMAND  # it may be mounted in one of theirs: end what is not needed");
                        continue;
                }
                finding_remedy(o, "for f in /proc/[0-9]*/cwd /proc/[0-9]*/root /proc/[0-9]*/exe /proc/[0-9]*/fd/*; do [ \"$(stat -Lc %%d \"$f\" "
                               "2>/dev/null)\" = %ju ] && echo \"$f\"; done  # who is in it: end these", (uintmax_t) b->dev);
        }
}

/* The kernel names the node that somebody gave it, wherever that was and whatever became of it. */
static void find_unknown_swap(Findings *f, const Swap *w) {
        const char *deleted = endswith(w->path, " (deleted)");
        _cleanup_free_ char *path = strndup(w->path, deleted ? (size_t) (deleted - w->path) : strlen(w->path)), *quoted = shell_quoted(path);

        if (w->file || w->dev != 0 || f->s->n_blocks == 0)
                return;
        json_object *o = finding(f, BLOCKER_KERNEL_USER, true, "the device of the swap %s could not be identified, and may be on this card", w->path);
        json_set_strf(o, "evidence", "/proc/swaps: %s", w->path);
        finding_remedy(o, "swapoff %s", quoted ?: "");
}

void find_kernel_users(Findings *f) {
        for (size_t i = 0; i < f->t->n_uses; i++)
                use_finding(f, &f->t->uses[i]);
        for (size_t i = 0; i < f->s->n_blocks; i++) {
                const BlockDevice *b = f->s->blocks[i], *lower = b->n_lower > 0 ? topology_block_device(f->t, b->lower[0]) : NULL;
                /* The disk of a multipath namespace stands on hidden ones, and goes with them. */
                bool is_path_head = lower && lower->dev == 0;

                if (b->kind == BLOCK_DISK && b->n_lower > 0 && !is_path_head && !is_told(f, b->name))
                        stack_finding(f, b);
                find_left_file_system(f, b);
        }
        find_left_out(f);
        for (size_t i = 0; i < f->t->n_swaps; i++)
                find_unknown_swap(f, &f->t->swaps[i]);
}
