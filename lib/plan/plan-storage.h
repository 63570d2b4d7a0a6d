/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "holders/holder.h"
#include "kernel/mounts/fs-shutdown.h"
#include "plan/plan.h"
#include "plan/plan-request.h"
#include "plan/scope/scope.h"

/* The part of a plan that is about what stores and who uses it. */

/* Everything on the card that a process can hold: file systems, block devices, dax devices. */
int storage_targets(const Scope *s, const PlanRequest *request, HoldTargets *ret);

/* Appends the step that lets those run again who were frozen and hold nothing of the card any more. */
int plan_add_thaw(Plan *p);

/* Can the kernel take what of this target is mapped from its users, and survive it? 0, or -EOPNOTSUPP with *ret_why for a person. */
int unmap_check(const Topology *t, const Scope *s, const HoldTarget *target, char **ret_why);

/* Those of the targets for which the request wants that, where the kernel can. */
bool unmap_wanted(const Topology *t, const Scope *s, const PlanRequest *request, const Mount *m);

/* plan-holders.c. The arguments of the step that unmounts the file system whose first mount is at that place of s->mounts. New reference. */
json_object *storage_unmount_args(const Topology *t, const Scope *s, const PlanRequest *request, size_t place);

/* plan-holders.c: may the file system be shut down where its users do not go, and how? 0; -ENOENT: nobody wants that; -EOPNOTSUPP with
 * *ret_why for a person: somebody does, and it cannot be. */
int shutdown_check(const Topology *t, const Scope *s, const PlanRequest *request, const Mount *m, FsShutdown *ret, char **ret_why);

/* "no", "flush" or "noflush". */
const char *shutdown_word(const Topology *t, const Scope *s, const PlanRequest *request, const Mount *m);

/* Is the target one of those that may? */
bool shutdown_of_target(const Topology *t, const Scope *s, const PlanRequest *request, const HoldTarget *target);

/* All that may, as the steps about holders want them: the arguments of their unmounting. New reference. */
json_object *shutdown_entries(const Topology *t, const Scope *s, const PlanRequest *request);

/* Appends the steps that hold up and end the card's users. */
int plan_add_end_of_holders(Plan *p, const Topology *t, const Scope *s, const PlanRequest *request);

/* Appends the steps that end the card's users and take down what stands on it, above all namespaces and regions. */
int plan_add_storage(Plan *p, const Topology *t, const Scope *s, const PlanRequest *request);

/* The memory of the card whose pages a process can pin, as the steps about holders want it (kernel/pages/page-census.h). */
json_object *storage_pages_json(const Scope *s);

/* Appends the step that proves that nobody does. After it drivers go. */
int plan_add_proof(Plan *p, const Scope *s, const PlanRequest *request);

/* The same for pages of files alone, where anything is mounted. The kernel takes a file's pages back with its file system, whoever has
 * them (fs/dax.c:dax_disassociate_entry warns, no more), and gives them to the next file. */
int plan_add_proof_of_files(Plan *p, const Scope *s, const PlanRequest *request);

/* Appends the step that has the card's disks and partitions for the removal alone, from when nothing stands on them until they are
 * gone. */
int plan_add_claims(Plan *p, const Topology *t, const Scope *s, const PlanRequest *request);

/* Appends the steps for the namespaces and the regions of the nvdimm bus, which stand on nothing but the card. */
int plan_add_namespaces(Plan *p, const Topology *t, const Scope *s, const PlanRequest *request);

/* Does a set go on without the card whose daemon has its members open until they are out of it? */
bool storage_leaves_daemons(const Topology *t, const Scope *s);

/* Is a part of the mapping missing, at any depth? LVM has an error target in its place, by the name of "...-missing_0_0". */
bool mapping_is_placeholder(const BlockDevice *b);
bool mapping_is_partial(const Topology *t, const BlockDevice *b);

/* Is this memory device driven as one that processes map? */
bool dax_is_mapped(const DaxDevice *d);
