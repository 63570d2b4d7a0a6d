/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <errno.h>
#include <sys/types.h>

#include "base/strtab.h"
#include "base/util.h"
#include "kernel/mounts/mountinfo.h"

/* What the kernel itself uses block devices and files for, with no process, mount or holder link to show it. */
typedef enum KernelUserKind {
        KERNEL_USER_TARGET,     /* exported to others: LIO, nvmet, SCST, RNBD, a USB gadget */
        KERNEL_USER_HEARTBEAT,  /* a cluster's, written to all the time */
        KERNEL_USER_ZRAM,       /* written back to by compressed memory */
        KERNEL_USER_CACHE,      /* registered with bcache */
        KERNEL_USER_JOURNAL,    /* the journal of a file system that is elsewhere */
        KERNEL_USER_MEMBER,     /* of a file system of several devices */
        KERNEL_USER_POOL,       /* a ZFS pool; which devices it has the kernel does not tell */
        KERNEL_USER_FLASH,      /* shown as flash memory (block2mtd) */
        KERNEL_USER_LOG,        /* where the kernel's last words go (pstore) */
        KERNEL_USER_FILE,       /* a file or folder that the kernel has open by itself */
        KERNEL_USER_DEVICE,     /* a device itself, whatever is on it: its memory is lent */
        KERNEL_USER_WORK,       /* a memory card is at work of its own: new firmware, an erasure */
        _KERNEL_USER_KIND_MAX,
        _KERNEL_USER_KIND_INVALID = -EINVAL,
} KernelUserKind;

DECLARE_STRING_TABLE(kernel_user_kind, KernelUserKind);

typedef struct KernelUser {
        KernelUserKind kind;
        char *who;              /* "LIO iblock_0/vol1", "zram0" */
        char *on;               /* a path ("/dev/nvme0n1p1", "/srv/image", "/sys/bus/cxl/devices/mem0") or the kernel's name ("nvme0n1p1");
                                 * NULL: not told, so that it can be anything */
        dev_t dev;              /* the number where that is told; else 0 */
        char *evidence;         /* the file that says so */
        char *remedy;           /* a line for a shell that ends this use */
} KernelUser;

typedef struct KernelUsers {
        KernelUser *items;
        size_t n_items, n_allocated;
} KernelUsers;

void kernel_user_done(KernelUser *u);
void kernel_users_done(KernelUsers *l);

/* One more; takes over all strings. `on` may be NULL, no other may (they were not allocated: -ENOMEM). */
int kernel_users_add(KernelUsers *l, KernelUser u);

#define _cleanup_kernel_users_ _cleanup_(kernel_users_done)

/* All of the machine, read from configfs, sysfs and /proc: nothing is opened but attributes. A place that is there and cannot be read,
 * and one whose module is loaded while its folder cannot be seen (configfs is not mounted), is a user of which nothing is told. Of a device (its
 * folder in sysfs) that is said to be another one's nothing is read that waits for what it is at. 0 or -ENOMEM. */
typedef bool (*kernel_users_others_t)(const char *device, void *userdata);
int kernel_users_read_but(KernelUsers *l, kernel_users_others_t is_others, void *userdata);

static inline int kernel_users_read(KernelUsers *l) {
        return kernel_users_read_but(l, NULL, NULL);
}

/* Of these KERNEL_USER_WORK alone, for all memory devices of the machine: by sysfs, and with an end. */
int kernel_users_read_work(KernelUsers *l);

/* The name in sysfs of the device that it is on, whatever link it was given by (newly allocated; nobody's when the link leads nowhere). NULL:
 * on a file or folder, or not told. */
char *kernel_user_device(const KernelUser *u);

/* The devices of a ZFS pool by their paths, as zpool(8) tells them: newly allocated text. A negative errno when it cannot be asked. */
int zfs_pool_devices(const char *pool, uint64_t timeout_usec, char **ret);

/* kernel-files.c. Files and folders that the kernel has open by itself, of the mounts of PID 1; part of the above. 0 or -ENOMEM. */
int kernel_files_read(KernelUsers *l, const MountEntries *mounts);
