/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/types.h>

#include "base/json.h"
#include "base/strtab.h"
#include "holders/look-gaps.h"

/* Which processes use what is on a card, and how: mappings, descriptors, folders, programs. What the kernel itself holds
 * (mounts, swap, loop, dm, md) is in the topology. */

typedef enum TargetKind {
        TARGET_FS,      /* files of a file system: its device number as mountinfo has it (st_dev may be another one: btrfs, overlay) */
        TARGET_BLOCK,   /* the block device itself: st_rdev of a block special file */
        TARGET_CHAR,    /* the character device itself: st_rdev of a character special file (dax, vfio, uio) */
        TARGET_FILE,    /* one file, by file system and inode: memory of a PCI function that sysfs lends out */
        _TARGET_KIND_MAX,
        _TARGET_KIND_INVALID = -EINVAL,
} TargetKind;

DECLARE_STRING_TABLE(target_kind, TargetKind); /* "fs", "block", "char", "file" */

typedef struct HoldTarget {
        TargetKind kind;
        dev_t dev;
        uint64_t inode;         /* TARGET_FILE only, else 0 */
        char *name;             /* for people: "/dev/dax0.0", "/mnt/data" */
} HoldTarget;

/* What is looked for, and who must not be touched for it. The JSON form, as it stands in a step's arguments:
 * [{"kind": "fs", "dev": "259:0", "name": "/mnt/data"}, {"kind": "file", "dev": "0:22", "inode": 9, "name": "/sys/.."},
 *  {"protect_session": 4711}]. */
typedef struct HoldTargets {
        HoldTarget *items;
        size_t n_items, n_allocated;
        int *protect_sessions;  /* session ids (getsid() of the caller): unlike a pid they stay true when the caller itself has ended */
        size_t n_protect_sessions, n_protect_sessions_allocated;
} HoldTargets;

void hold_targets_done(HoldTargets *t);
int hold_targets_add(HoldTargets *t, TargetKind kind, dev_t dev, const char *name); /* one that is there already is left as it is */
int hold_targets_add_file(HoldTargets *t, dev_t dev, uint64_t inode, const char *name);
bool hold_targets_have(const HoldTargets *t, const HoldTarget *target); /* whatever its name */
int hold_targets_protect_session(HoldTargets *t, int sid);
int hold_targets_copy(const HoldTargets *t, HoldTargets *ret);
int hold_targets_from_json(json_object *array, HoldTargets *ret);
json_object *hold_targets_to_json(const HoldTargets *t);

typedef enum HoldWay {
        HOLD_MAPPING,           /* shared or private */
        HOLD_DESCRIPTOR,
        HOLD_CWD,
        HOLD_ROOT,
        HOLD_PROGRAM,           /* /proc/PID/exe */
        HOLD_PIN,               /* pages, whatever became of mapping and descriptor (pin-holder.h) */
        _HOLD_WAY_MAX,
        _HOLD_WAY_INVALID = -EINVAL,
} HoldWay;

DECLARE_STRING_TABLE(hold_way, HoldWay); /* "mapping", "descriptor", "cwd", "root", "program", "pin" */

/* One hold of one process; of several of the same way, target and path the first. */
typedef struct Hold {
        HoldWay way;
        size_t target;          /* index into the targets; SIZE_MAX for a pin, which is of no target */
        char *path;             /* as the kernel says it, " (deleted)" included; NULL when it says nothing */
        char *found;            /* the evidence: "/proc/12/maps rw-s", "/proc/12/fd/3" */
        uint64_t bytes;         /* of all such mappings, else 0 */
} Hold;

typedef struct Holder {
        int pid;
        uint64_t start_time;    /* /proc/PID/stat field 22: together with the pid this names one process */
        char *comm;
        char *exe;              /* or NULL */
        char *unit;             /* systemd unit, or NULL */
        char *cgroup;           /* path in the unified hierarchy ("/system.slice/x.service"), or NULL */
        uint32_t uid;
        bool hidden;            /* from that user, by /proc: process_user() */
        bool protected;         /* PID 1, this process and its ancestors (worker, daemon), kernel threads, the message bus, the protected
                                 * sessions with the ancestors of their leaders: never ended, never frozen */
        Hold *holds;            size_t n_holds, n_holds_allocated;
        uint64_t n_more_holds;  /* not listed: whoever has hundreds of files open is a holder anyway */
} Holder;

void holder_done(Holder *h);

/* Has it anything mapped? */
bool holder_maps(const Holder *h);

typedef struct Holders {
        Holder *items;
        size_t n_items, n_allocated;
        Gaps gaps;              /* why there may be others; none: there are not */
} Holders;

void holders_clear(Holders *h);
int holders_move(Holders *to, Holders *from); /* those of `from` after those of `to`; so are its gaps. -ENOMEM: nothing moved */
void holders_free(Holders *h);
DEFINE_CLEANUP_FUNC(Holders, holders_free)

/* Looks at every process (threads with files or folders of their own included). Asks the kernel for mappings one by one where it
 * answers (PROCMAP_QUERY, 6.11), reads /proc/PID/maps elsewhere: the result is the same. Looks again, a few times, at a process that
 * could not be read, and goes on past one that hangs in such a way that a look at it does too. Stops after budget_usec (0: no limit) with
 * a gap, at the latest a little later. 0 or a negative errno (no /proc, no memory). */
int holders_scan(const HoldTargets *targets, uint64_t budget_usec, Holders **ret);

/* The same in two parts, for whoever has something else to do meanwhile. Whoever has begun a look ends it: that waits for it, and frees it. */
typedef struct HoldersScan HoldersScan;
int holders_scan_begin(const HoldTargets *targets, uint64_t budget_usec, HoldersScan **ret);
int holders_scan_end(HoldersScan *scan, Holders **ret);

/* The same look at one process, for some seconds: none or one item. */
int holders_scan_process(const HoldTargets *targets, int pid, Holders **ret);

/* {"kind": "process", "pid", "start_time", "comm", "exe", "unit", "cgroup", "uid", "hidden" (where it is true), "protected",
 *  "holds": [{"way", "target", "path", "found", "bytes"}], "more_holds"}; target is the target's name, or null. */
json_object *holder_to_json(const Holder *h, const HoldTargets *targets);

/* Adds what a process can have of a PCI function itself:
 *      the character devices through which it is handed to a process, of VFIO its own one (/dev/vfio/devices/vfioN) and that of its
 *              IOMMU group (/dev/vfio/GROUP, which may have other functions too), of UIO /dev/uioN;
 *      an NVMe controller's own, through which commands go to all that it has (drivers/nvme/host/core.c:nvme_dev_fops);
 *      the memory of its BARs (drivers/pci/pci-sysfs.c:pci_create_attr), unless a driver of the kernel has it for itself;
 *      the peer-to-peer memory that its driver publishes (drivers/pci/p2pdma.c:pci_p2pdma_setup_pool).
 * None when it has none of these. -EINVAL when `bdf` is no address. */
int hold_targets_add_function(HoldTargets *t, const char *bdf);

/* The character device through which commands go to an NVMe disk ("nvme0n1": /dev/ng0n1), where there is one. */
int hold_targets_add_generic(HoldTargets *t, const char *block);
