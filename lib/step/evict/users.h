/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/types.h>

#include "holders/holder.h"
#include "step/step.h"

/* Looks for users once more, right before a driver is unbound: the kernel itself does not ask whether there are any. */

/* All of them. */
int step_scan(TargetKind kind, dev_t dev, const char *name, Holders **ret);

/* 0; -EAGAIN with the reason and a remedy noted where not every process could be looked at. */
int step_gaps(StepRun *run, const Gaps *gaps, const char *name);

/* The same at a step after which the kernel itself is asked: a file system's super block when it is unmounted, a block device by an exclusive
 * open, a dax device right before its driver goes. Where there was not enough time, or somebody hangs, and nothing else, those of these
 * targets are for it to tell of; whoever took the time, or hangs, is told, and keeps nobody from going on. */
int step_gaps_of(StepRun *run, const Gaps *gaps, const HoldTargets *targets, const char *name);

/* The same for a dax device by its name on the dax bus. One without a character device (kmem has it) is not used so. */
int step_dax_unused(StepRun *run, const char *dax);

/* 1 with the number of a dax device's character device; 0: it has none on this driver. */
int step_dax_number(StepRun *run, const char *dax, dev_t *ret);

/* 0 when nobody has the block device for himself alone (mounted, swap, dm, md); -EBUSY naming what the kernel says. */
int step_block_unclaimed(StepRun *run, const char *block);

/* What is known of who keeps a file system mounted: processes, a loop device or swap on a file of it. Newly allocated, or NULL. */
char *step_fs_users(dev_t dev, const char *name);

/* For when something is held and nobody is found: who has sockets in which descriptors wait, or that this is possible. Newly allocated; NULL when
 * no descriptor waits anywhere. */
char *step_in_flight(void);

/* Who may use it unseen; NULL when every process could be looked at. */
char *step_unseen(TargetKind kind, dev_t dev, const char *name);

/* A line about who uses it, for adding to another reason; NULL when nobody is found. */
char *step_users(TargetKind kind, dev_t dev, const char *name);
