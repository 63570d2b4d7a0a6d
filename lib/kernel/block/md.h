/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/util.h"

/* Software RAID. Arrays are found by their uuid, however it is written (mdadm's four groups, the kernel's five): an array that
 * was assembled by udev may have got another name. */

/* True for the same 32 hexadecimal digits, in either case and with whatever between them. */
bool md_same_uuid(const char *a, const char *b);

/* "md127" now; by name where the uuid is NULL, empty or nothing but zeros. -ENODEV: not running. */
int md_find(const char *uuid, const char *name, char **ret);

/* What a member is to its array (drivers/md/md.c:state_show). */
typedef enum MdRole {
        MD_IN_SYNC,     /* has its part of the data */
        MD_REBUILT,     /* is given it now, or replaces one that has it */
        MD_SPARE,       /* stands by */
        MD_JOURNAL,     /* every write goes through it first */
        MD_FAULTY,      /* out of use */
        MD_UNKNOWN,     /* not to be read: it may be anything */
        _MD_ROLE_MAX,
} MdRole;

typedef struct MdMember {
        char *name;             /* nvme0n1p1; of a RAID volume of LVM the dm-1 that has the data */
        char *meta;             /* there the one that has its superblock, or NULL */
        MdRole role;
        bool bad_blocks;        /* places of it cannot be read: another member has them */
} MdMember;

/* An array of drivers/md, or the one inside a dm target "raid" (drivers/md/dm-raid.c), which has the same personalities. */
typedef struct MdArray {
        char *level;            /* "raid1"; "container"; "none" where it was not started and nobody knows */
        char *container;        /* of a volume with external metadata: the array that its container is; or NULL */
        char *uuid;             /* or NULL; those with external metadata have none that the kernel knows */
        char *bitmap_file;      /* where its bitmap is, when that is a file; or NULL */
        uint64_t disks;         /* how many have a part of the data when it is whole */
        bool external;          /* the metadata is kept by a program (mdmon) */
        bool no_metadata;       /* what it is made of, and which members are up to date, is written nowhere (mdadm --build) or not known yet */
        bool inactive;          /* not started */
        bool reshaping;         /* its members, level or layout are being changed */
        char *syncing;          /* "resync", "recover": what it does to be whole; or NULL */
        MdMember *members;
        size_t n_members, a_members;
} MdArray;

void md_array_free(MdArray *a);
DEFINE_CLEANUP_FUNC(MdArray, md_array_free)

/* An array by its name. -ENODEV: there is none of that name; -EBUSY while it is being deleted. A member whose state cannot be read
 * is unknown. */
int md_read(const char *md, MdArray **ret);

/* One more member, with a copy of the name. 0 or -ENOMEM. */
int md_add_member(MdArray *a, const char *name, MdRole role);

/* What becomes of it when members leave. */
typedef enum MdLoss {
        MD_UNHURT,      /* nothing of the data: a hot spare, one that has failed, a disk of a container */
        MD_DEGRADES,    /* it goes on with fewer copies */
        MD_ENDS,        /* it cannot go on */
} MdLoss;

typedef bool (*md_goes_t)(const char *member, void *userdata);

/* The one answer for scope, plan and steps: what becomes of the array without those members of which goes() is true. RAID 10 has pairs,
 * and whether two are of the same depends on its layout: it can count on losing one only. */
MdLoss md_without(const MdArray *a, md_goes_t goes, void *userdata);

/* Does it serve now, and would it without those members? For one that was started and is no container. */
bool md_serves_without(const MdArray *a, md_goes_t goes, void *userdata);

/* Why that must not be done to it now, for a person, though it could be otherwise: it is being reshaped, or is not whole yet, or
 * could not be put together again. Newly allocated; NULL: it may be done (or out of memory). `name` is what it is called. */
char *md_not_now(const MdArray *a, const char *name, MdLoss loss, md_goes_t goes, void *userdata);

/* Why it cannot go on without them, where it cannot: for a person, newly allocated, or NULL (out of memory). */
char *md_ends_why(const MdArray *a, const char *name, md_goes_t goes, void *userdata);

/* The member of that name, or that has its superblock there; NULL. */
const MdMember *md_member(const MdArray *a, const char *name);

/* How many members in sync it needs; UINT64_MAX: all of them. */
uint64_t md_members_needed(const MdArray *a);
size_t md_members_in_sync(const MdArray *a);

/* Is the block device of that name a member, and is it in use there (not faulty)? */
bool md_has_member(const char *md, const char *member);
bool md_member_works(const char *md, const char *member);
