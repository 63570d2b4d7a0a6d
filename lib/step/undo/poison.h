/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "step/step.h"

/* A memory block may not go offline because pages of it are pinned: they do not move, and neither the kernel nor
 * anything else can take them away. As the last resort the kernel gives such pages up (memory_failure(), as after a memory error): a process that
 * has them mapped gets a SIGBUS, and the block can go without them. By explicit force only: their content is lost. */

/* What a step says that may do so. */
#define POISON_DOES "; pages that are pinned are given up, and who has them mapped gets a SIGBUS (--force=poison)"

/* Pages of [start, start+size) that are pinned. The array belongs to the caller; -EBUSY with the reason noted when there are none. */
typedef struct PinnedPages {
        uint64_t *addresses;
        size_t n;
} PinnedPages;

void pinned_pages_done(PinnedPages *p);
int pinned_pages_find(uint64_t start, uint64_t size, StepRun *run, PinnedPages *ret);

/* Only those that are in `other` too. */
void pinned_pages_keep(PinnedPages *p, const PinnedPages *other);

/* Has the kernel give these pages of the block [start, start+size) up, each of them written down before, and waits until whoever had
 * them pinned has let go: the kernel would take the block away under him. 0, or a negative errno with the reason noted. */
int poison(const PinnedPages *pages, uint64_t start, uint64_t size, json_object *args, StepRun *run);

/* -EBUSY with the reason noted when there are such pages in the block that somebody still refers to, from whatever cause. */
int poison_check(uint64_t start, uint64_t size, StepRun *run);

/* A worker that died in the middle may have left the machine's own setting changed: puts it back as its notes say. */
void poison_settle(StepRun *run);
