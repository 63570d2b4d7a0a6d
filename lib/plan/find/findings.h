/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "holders/gaps.h"
#include "plan/find/blockers.h"

/* Where findings go while they are collected. */
typedef struct Findings Findings;
struct Findings {
        const Topology *t;
        const Scope *s;
        const Scope *all;       /* with the cards of other removals that are under way; NULL: there are none */
        const PlanRequest *request;
        json_object *blockers, *warnings;
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

/* find-under-way.c: what an earlier removal of the same slot has left behind in the kernel. */
void find_writers(Findings *f);
void find_unread(Findings *f);

/* The scope with those of the removals that are under way. -ENOMEM. */
int scope_find_with_under_way(const Topology *t, const Scope *s, const PlanRequest *request, Scope *ret);

/* find-room.c: bytes of memory that are online and go with any of the cards. */
uint64_t findings_bytes_going(const Findings *f);

/* find-programs.c: programs that the steps need and that are not there. */
void find_programs(Findings *f, const Plan *p);

/* Lines of the policy files that cannot be used. */
void find_policy_warnings(Findings *f);

/* find-memory.c: kernel zones. */
void find_kernel_zone(Findings *f);

/* "memory146 to memory149", or "memory9" of one memory block; newly allocated. */
char *memory_block_words(uint64_t first, uint64_t last);

/* find-room.c: whether the rest of the machine can absorb what is in use. 0 or -ENOMEM. */
int find_room(Findings *f);

/* find-memory-use.c: what the nodes' memory is used for ("memory" of the document), and what of it is bound to them. 0 or -ENOMEM. */
int find_memory_use(Findings *f, json_object *doc);

/* find-files.c: the largest files with pages on the node, of `bytes` of page cache and shared memory ("files" of its object). 0 or
 * -ENOMEM. */
int find_files(const Findings *f, const Node *node, uint64_t bytes, json_object *to);

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

/* plan-shutdown.c: what it costs where file systems are shut down, and which cannot be. */
void find_shutdown(Findings *f);

/* find-odd.c: what the look could not read or understand. */
void find_odd(Findings *f);

/* find-kernel-users.c: targets, heartbeats, caches, pools, and devices that no step takes down. */
void find_kernel_users(Findings *f);

/* find-holders.c: who uses what is on the card, and what would be done about it, and who has memory on the nodes, into "holders" and
 * "holders_complete" of the document. The last are not in the way, their memory moves; but the operator wants to see whose it is, and who
 * cannot live without it. 0 or -ENOMEM. */
int find_holders(Findings *f, json_object *doc);

/* find-served.c: a process that uses the card and serves a disk to others out of it, which somebody uses. 0 or -ENOMEM. */
int find_served(Findings *f, int pid, const char *program);

/* bound-holders.c: cuts the texts of the list that users choose to what a plan may hold, and counts in "more_holds" what is not listed.
 * 0 or -ENOMEM. */
int bound_holders(json_object *holders);

/* find-users.c: the processes' part of it. Adds why not all could be looked at. */
int find_users(Findings *f, json_object *holders, Gaps *gaps);
