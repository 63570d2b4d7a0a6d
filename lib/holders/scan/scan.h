/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/stat.h>

#include "holders/scan/bound-sockets.h"
#include "holders/holder.h"
#include "holders/scan/maps.h"
#include "holders/scan/scan-filter.h"
#include "holders/protect.h"
#include "holders/process.h"
#include "holders/seen-mounts.h"

/* The inside of holders_scan(). */

/* What was found out about mapped inodes: which device each one is, if any. A thousand processes map the same few hundred. */
typedef struct Node {
        dev_t dev;              /* of the file system it is on */
        uint64_t inode;
        mode_t type;            /* S_IFMT part of its mode; 0: an empty place of the table */
        dev_t rdev;
} Node;

typedef struct NodeCache {
        Node *places;
        size_t n, n_places;     /* a power of two */
} NodeCache;

void node_cache_done(NodeCache *c);
/* Valid until the next one is put in; or NULL. */
const Node *node_cache_find(const NodeCache *c, dev_t dev, uint64_t inode);

/* One that is there already is replaced. */
int node_cache_put(NodeCache *c, const Node *node);

/* What one thread of a scan works with. */
typedef struct Scan {
        const HoldTargets *targets;
        const Protection *protection;
        uint64_t deadline;      /* monotonic */
        bool wants[_TARGET_KIND_MAX];
        bool wants_anonymous;   /* a file system with a number that stands for no device: st_dev alone does not tell it */
        bool files_only;        /* nothing is asked that waits for the lock of the process's memory */
        MapsWay maps_way;
        NodeCache nodes;
        SeenMounts mounts;
        BoundSockets sockets;
        Holders holders;        /* found so far */
} Scan;

/* Targets and protection must outlive it. -ENOMEM. */
int scan_init(Scan *s, const HoldTargets *targets, const Protection *protection, MapsWay way, uint64_t deadline);
void scan_done(Scan *s);

/* Looks at one process of /proc. -ENOMEM or 0; what else goes wrong only makes the scan incomplete. */
int scan_process(Scan *s, int proc, const char *name);

/* One process being looked at. Everything is read through one descriptor of its /proc/PID: should the number be given to
 * another process meanwhile, the reads fail instead of telling about that one. */
typedef struct Look {
        Scan *scan;
        int pid;
        int dirfd;              /* /proc/PID */
        int living;             /* /proc/TID of another thread where the first one has ended, else -EBADF */
        bool mounts_learned;    /* its mountinfo was read */
        bool sockets_learned;   /* its network namespace was asked */
        Holder holder;          /* what is known of it so far; only its holds are filled in */
} Look;

/* Where to read what all threads share. */
static inline int look_shared(const Look *l) {
        return process_shared(l->dirfd, l->living);
}

/* A thread of it: the first one has the process's own folder and an empty name. */
typedef struct ThreadLook {
        Look *look;
        int dirfd;              /* /proc/PID or /proc/PID/task/TID */
        const char *name;       /* "" or "task/TID/" */
} ThreadLook;

/* Adds a hold, or adds its bytes to one of the same way, target and path. 0 or -ENOMEM. */
int look_add(Look *l, HoldWay way, size_t target, const char *path, const char *found, uint64_t bytes);

/* What went wrong with one thing does not end the look. -ENOMEM, or 0: whoever ended meanwhile is no holder, and not one that
 * could not be looked at; everything else is a gap. */
int look_note(Look *l, int error);
int look_note_as(Look *l, GapKind kind, int error);

/* A rule of the machine keeps it, or a file of it, from being read (SELinux and its like), or we are not root: that is noted. Of one
 * that ends just then the kernel says the same, but not twice. */
bool look_is_refused(const Gaps *of_process, GapKind kind);

/* Add what of the thread is one of the targets. 0 or -ENOMEM. */
int look_at_descriptors(const ThreadLook *t);
int look_at_folders(const ThreadLook *t);       /* cwd, root */
int look_at_program(const ThreadLook *t);
int look_at_mappings(const ThreadLook *t);      /* 1; 0 when it has no address space */

/* A descriptor that may be an io_uring: the files that were given to it. at, name: the link. 0 or -ENOMEM. */
int look_at_ring(const ThreadLook *t, int at, const char *name);

/* The file system of a file, as its mounts have it in mountinfo; asked with STATX_MNT_ID. 0 or -ENOMEM. */
int look_file_system(Look *l, const struct statx *st, dev_t *ret);

/* By the mount alone. -ENODATA: nobody's mountinfo that was read has it. */
int look_mount(Look *l, uint64_t mount_id, dev_t *ret);

/* Is it the target? By the number of the file system, and what stat says of the file itself. */
bool target_is(const HoldTarget *t, dev_t fs, uint64_t inode, mode_t mode, dev_t rdev);

/* holders_scan() in one of the ways; all zero: in the best one there is. */
typedef struct ScanWay {
        MapsWay maps;
        FilterWay filter;
} ScanWay;

int holders_scan_by(ScanWay way, const HoldTargets *targets, uint64_t budget_usec, Holders **ret);
