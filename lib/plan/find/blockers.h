/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/strtab.h"
#include "holders/look-gaps.h"
#include "plan/plan-request.h"
#include "plan/plan.h"
#include "plan/scope/scope.h"

/* What stands against a removal. The code is the stable part; evidence and remedy are for people, the remedy works when
 * pasted. */
typedef enum BlockerCode {
        BLOCKER_ZONE_NORMAL,    /* memory in a kernel zone, with pages on it that cannot move */
        BLOCKER_NO_ROOM,        /* the rest of the machine cannot absorb what is on the card */
        BLOCKER_CGROUP_LIMIT,   /* it would fit into swap, but the limits of its control groups do not let it there */
        BLOCKER_HUGETLB_NO_ROOM, /* huge pages of the node are needed, and there are none elsewhere */
        BLOCKER_BOUND_TMPFS,    /* a tmpfs may have its files on nodes that go only */
        BLOCKER_CPUSET_EMPTY,   /* so may the processes of a control group their memory */
        BLOCKER_LAST_MEMORY,    /* nothing would be left */
        BLOCKER_SYSTEM_RAM,     /* memory of the card is the kernel's, by the firmware or left over: no dax device to take down */
        BLOCKER_FOREIGN_DEVICE, /* network interface, ... on the card */
        BLOCKER_UNKNOWN_DRIVER, /* a driver of which is not known what it makes and who uses that */
        BLOCKER_USER_DRIVER,    /* vfio-pci or uio drives a function: removal would wait for its user for ever */
        BLOCKER_NO_POWER_SWITCH, /* the slot has no power attribute to write to */
        BLOCKER_SLOT_REGISTERS, /* the port's registers cannot be read: nothing is known of its lights and its button */
        BLOCKER_DARK_LIGHT,     /* the only light goes dark before the proof; a warning where the policy accepts that */
        BLOCKER_NO_LIGHT,       /* warning: the slot has no light that could say anything, or none that a running card keeps on */
        BLOCKER_LOCKDOWN,       /* the slot's registers cannot be written: a warning; nor can pages be counted that have to be: a blocker */
        BLOCKER_UNCOUNTABLE,    /* nor can they be for another reason: what is not described, or closed to us */
        BLOCKER_SLOT_HELD,      /* a slot inside of this one, or around it, is held: a removal of its own runs */
        BLOCKER_UNDER_WAY,      /* another removal takes it down too, or nothing of it is left once both cards are gone */
        BLOCKER_INHIBITED,      /* somebody keeps it (safe-remove inhibit); a warning where the request passes over that */
        BLOCKER_DELAYED,        /* warning: somebody may have it wait */
        BLOCKER_STILL_WRITING,  /* a process that an earlier removal left behind in the kernel may change it at any time */
        BLOCKER_RECORD_UNREAD,  /* what an earlier removal of the slot, of one inside of it or around it, has done cannot be read */
        BLOCKER_BOUND_PROCESS,  /* a process may use no other memory than what goes: the kernel would kill it */
        BLOCKER_LOCKED,         /* the firmware has locked the decoders (regionN/locked): commit 0 is refused */
        BLOCKER_UNKNOWN_TARGET, /* a committed region has a target whose card is not known: it may be this one */
        BLOCKER_MEMORY_UNKNOWN, /* a memory card of which nobody knows what it decodes */
        BLOCKER_ADDRESSES_UNKNOWN, /* /proc/iomem cannot be read: nobody knows who uses the card's addresses */
        BLOCKER_ADDRESSES_CLAIMED, /* something in /proc/iomem is at the card's addresses that no step takes down */
        BLOCKER_VIRTIO_MEM,     /* memory that the hypervisor gave, and only it takes back */
        BLOCKER_FOREIGN_MEMMAP, /* page structs of other memory lie on the card, or may: nothing forces that */
        BLOCKER_NOT_UNDERSTOOD, /* something cannot be read or understood; hard where it could be the card's */
        BLOCKER_LIBRARIES_DISAGREE, /* libcxl, libdaxctl or libndctl sees the card otherwise than we do; a warning where one has not said all */
        BLOCKER_SYSTEM_FS,      /* the running system, the journal or our own state lies on the card */
        BLOCKER_MOUNT_BELOW,    /* another device's file system is mounted inside one that goes */
        BLOCKER_LOCKED_MOUNT,   /* less privileged users have a copy of its mount in a namespace of theirs, which nobody else can take;
                                 * a warning where an overlay of theirs may have a folder of it */
        BLOCKER_MOUNT_LOOP,     /* two file systems are mounted in each other: there is no order */
        BLOCKER_AUTOMOUNT,      /* warning: it is mounted again as soon as somebody looks */
        BLOCKER_NO_WAY_BACK,    /* warning: something small goes that is not put back: a name of a namespace, a container's overlay */
        BLOCKER_LAST_HOLD,      /* a mount or loop device is what keeps a file without a name: it never comes back */
        BLOCKER_DAX_MOUNTED,    /* a file system without a block device is mounted from a dax device (famfs) */
        BLOCKER_SPANS_DEVICES,  /* warning: a volume or array stands on other devices too and goes as a whole */
        BLOCKER_DEGRADES,       /* warning: a redundant array goes on without its member */
        BLOCKER_GOES_ON,        /* warning: a set loses what was in reserve, a path or a hot spare */
        BLOCKER_ARRAY_BUSY,     /* an array must neither lose a member nor be stopped now, or could not be put together again */
        BLOCKER_SUSPENDED,      /* a mapping is suspended: a sync or umount would wait in the kernel */
        BLOCKER_ENCRYPTED,      /* a mapping has a key that could not be given again */
        BLOCKER_UNKNOWN_MAPPING, /* a mapping that may not be made again: of a kind that is not known, or not to be read */
        BLOCKER_PARTIAL,        /* warning: a volume has a part missing, and comes back so */
        BLOCKER_KERNEL_USER,    /* the kernel itself uses it: a target, a heartbeat, a pool, a device that no step takes down */
        BLOCKER_CARD_BUSY,      /* a memory card is at work of its own (new firmware, an erasure, an activation that is armed), or may be */
        BLOCKER_CARD_LOCKED,    /* warning: it has a passphrase, and comes back locked */
        BLOCKER_NFS_EXPORT,     /* the kernel's NFS server holds a file system */
        BLOCKER_HOLDER_REFUSES, /* a rule of the administrator's says that this holder must not be disturbed */
        BLOCKER_HOLDER_PROTECTED, /* PID 1, the caller's own session, this service: nothing that may be ended */
        BLOCKER_CANNOT_UNMAP,   /* force is to take a mapping that the kernel cannot take, or does not survive taking */
        BLOCKER_FS_SHUTDOWN,    /* warning: by force a file system is shut down if its users do not go */
        BLOCKER_CANNOT_SHUT_DOWN, /* warning: it is to be, and the kernel has not got that, a rule says no, or something stands on it */
        BLOCKER_HOLDERS_UNKNOWN, /* not every process could be looked at: who holds what is not known */
        BLOCKER_OTHER_CARD,     /* of a restoration: the card is not the one that was removed */
        BLOCKER_OTHER_WINDOW,   /* of a restoration: the window that a region was in does not lead to the card where it is now */
        BLOCKER_PEER_MISSING,   /* of a restoration: a region goes over another card too, which is not there */
        BLOCKER_NOT_READY,      /* of a restoration: the kernel has not made a memory device of the card (yet) */
        BLOCKER_NO_PROGRAM,     /* a program of the system's that a step is done with is not installed */
        BLOCKER_NO_SANITIZE,    /* it is to be erased, and cannot, or something on the card cannot */
        BLOCKER_PASSPHRASE,     /* it is to be erased, and has a passphrase, with which it is not */
        BLOCKER_WHICH_SERIAL,   /* persistent data is to be erased, and the card's serial number was not given, or another one */
        BLOCKER_ERASES,         /* warning: all that is on the card is erased, and the way back ends there */
        BLOCKER_ERASED,         /* warning, of a restoration: what the removal erased is not put back */
        BLOCKER_POWER_UNSEEN,   /* of a self-test with power: no light could say that the power comes back */
        BLOCKER_NOT_IDLE,       /* of a self-test: somebody uses the card, or a step of it would take something from somebody */
        BLOCKER_HOOK_VETO,      /* a program of the administrator's objects */
        BLOCKER_HOOK_FAILED,    /* one has given no answer: it failed, or took too long, or nobody can run it */
        BLOCKER_HOOKS_NOT_ASKED, /* warning: what they say to it is not known yet */
        BLOCKER_POLICY,         /* warning: a line of the policy files could not be used */
        _BLOCKER_CODE_MAX,
        _BLOCKER_CODE_INVALID = -EINVAL,
} BlockerCode;

DECLARE_STRING_TABLE(blocker_code, BlockerCode);

/* Fills "blockers", "warnings", "holders" and "holders_complete" of the plan's document */
int plan_add_blockers(Plan *p, const Topology *t, const Scope *s, const PlanRequest *request, bool *ret_blocked);

/* Before anybody asks for a plan: of the findings about the card in this slot those that say that its memory will not leave again, as in a plan's
 * "blockers"; a new array, empty where nothing says so. -ENOMEM. */
int plan_find_stays(const Topology *t, const Slot *slot, json_object **ret);

/* Where findings go while they are collected. */
typedef struct Findings Findings;
struct Findings {
        const Topology *t;
        const Scope *s;
        const Scope *all;       /* with the cards of other removals that are under way; NULL: there are none */
        const PlanRequest *request;
        json_object *blockers, *warnings;
        struct MemoryScan *look; /* at who has memory on the first node, from find_holders_begin() until find_holders() */
};

/* Of a remedy that saves something: a folder that nobody else has made, or can look into; its name is printed. */
#define SAVED_DIR "saved=$(mktemp -d /var/tmp/saved.XXXXXX) && echo \"$saved\""

/* A new finding; the caller adds evidence and remedies. Owned by the list it went to. */
json_object *finding(Findings *f, BlockerCode code, bool hard, const char *format, ...) _printf_(4, 5);
void finding_remedy(json_object *finding, const char *format, ...) _printf_(2, 3);

/* Everything that goes, whoever takes it: what is in it is no room for anybody. */
static inline const Scope *findings_all(const Findings *f) {
        return f->all ?: f->s;
}

/* find-under-way.c: what other removals take down too, or what only they and this one together leave nothing of. 0 or -ENOMEM. */
int find_under_way(Findings *f);

/* find-inhibitors.c: who does not want it to go, or not yet. */
void find_inhibitors(Findings *f);

/* Is everything in the way somebody's veto, which ends when he says so? An array of a plan's "blockers". */
bool blockers_are_vetoes(json_object *blockers);

/* find-under-way.c: what an earlier removal of the same slot has left behind in the kernel. */
void find_writers(Findings *f);
void find_unread(Findings *f);

/* The scope with those of the removals that are under way. -ENOMEM. */
int scope_find_with_under_way(const Topology *t, const Scope *s, const PlanRequest *request, Scope *ret);

/* find-memory.c: bytes of memory that are online and go with any of the cards. */
uint64_t findings_bytes_going(const Findings *f);

/* plan-hooks.c: programs of the administrator's that nobody may run. */
void find_hooks(Findings *f);

/* Lines of the policy files that cannot be used. */
void find_policy_warnings(Findings *f);

/* find-memory.c: kernel zones. */
void find_kernel_zone(Findings *f);

/* "memory146 to memory149", or "memory9" of one memory block; newly allocated. */
char *memory_block_words(uint64_t first, uint64_t last);

/* find-memory.c: whether the rest of the machine can absorb what is in use. 0 or -ENOMEM. */
int find_room(Findings *f);

/* find-memory-use.c: what the nodes' memory is used for ("memory" of the document), and what of it is bound to them. 0 or -ENOMEM. */
int find_memory_use(Findings *f, json_object *doc);

/* Does the node keep memory of another card, or of the machine's own? */
bool findings_node_stays(const Findings *f, const Node *node);

/* find-addresses.c: what is at the card's addresses and not taken down. */
void find_addresses(Findings *f);

/* find-memmap.c: page structs of other memory on the card's. 0 or -ENOMEM. */
int find_foreign_memmap(Findings *f);

/* Memory in a CXL window that no region accounts for: left over from a card, or the firmware's. */
void find_stray_memory(Findings *f);

/* find-slot.c: its power and its lights. */
void find_slot(Findings *f);

/* find-drivers.c: functions, devices and memory with drivers that are not known, and what hangs on the card that nobody accounts for. */
void find_drivers(Findings *f);

/* find-storage.c: the system's own file systems, sets that span cards, swap, and what find_stacks() and find_mounts() find. 0 or
 * -ENOMEM. */
int find_storage(Findings *f);

/* find-mounts.c: mounts that cannot be taken away, or not put back. 0 or -ENOMEM. */
int find_mounts(Findings *f);

/* find-stacks.c: arrays and mappings, those that go and those that only lose a part. */
void find_stacks(Findings *f);

/* The block device of that name that goes with the card, or NULL. */
const BlockDevice *findings_block(const Findings *f, const char *name);

/* plan-holders.c: what it costs where file systems are shut down, and which cannot be. */
void find_shutdown(Findings *f);

/* find-sanitize.c: what keeps the cards from being erased, or the data of another one from that. */
void find_sanitize(Findings *f);

/* find-odd.c: what the look could not read or understand. */
void find_odd(Findings *f);

/* find-libraries.c: what the request's libraries see otherwise than we do, and which have not said all. */
void find_libraries(Findings *f);

/* find-kernel-users.c: targets, heartbeats, caches, pools, and devices that no step takes down. */
void find_kernel_users(Findings *f);

/* find-card.c: memory cards that are at work of their own, and those that come back locked. */
void find_card(Findings *f);

/* find-holders.c: who uses what is on the card, and what would be done about it, and who has memory on the nodes, into "holders" and
 * "holders_complete" of the document. The last are not in the way, their memory moves; but the operator wants to see whose it is, and who
 * cannot live without it. 0 or -ENOMEM. */
int find_holders(Findings *f, json_object *doc);

/* The look at who has memory on the first node takes long: it is begun before all else, and find_holders() takes its answer. Whoever has begun it
 * ends it, also where nobody came to find_holders(). */
void find_holders_begin(Findings *f);
void find_holders_end(Findings *f);

/* find-users.c: a process that uses the card and serves a disk to others out of it, which somebody uses. 0 or -ENOMEM. */
int find_served(Findings *f, int pid, const char *program);

/* find-idle.c: of a self-test, whatever a removal would end, unmount or take apart: it wants an idle card. After all others. */
void find_idle(Findings *f, const Plan *p);

/* find-holders.c: cuts the texts of the list that users choose to what a plan may hold, and counts in "more_holds" what is not listed.
 * 0 or -ENOMEM. */
int bound_holders(json_object *holders);

/* find-users.c: the processes' part of it. Adds why not all could be looked at. */
int find_users(Findings *f, json_object *holders, Gaps *gaps);
