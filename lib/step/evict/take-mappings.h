/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "holders/holder.h"
#include "kernel/sysfs/quirks.h"
#include "step/step.h"

/* Takes mappings away by force: a driver is unbound although a process has mapped its memory, and the kernel takes the
 * pages out of every mapping. Only on kernels that are known to survive it, only without pinned pages, for which nothing waits; it counts as
 * done only when no process has a page of the memory any more. Notes, written before it is done:
 *      {"forced": "unmap: ...", "kind", "dev", "name"}     and those of stopping processes (holder-freeze.h)
 */
typedef struct TakenMemory {
        ForcedUnmap way;
        TargetKind kind;        /* whose mappings: a character device's, or those of a file system's files */
        dev_t dev;
        const char *name;       /* for people; borrowed */
        uint64_t start, size;   /* its pages; bytes, physical */
        json_object *ranges;    /* of memory in several places all of them, [{"start", "size"}]: start is the first then; borrowed */
} TakenMemory;

/* May it be? Looks only: 0, or -EBUSY with why not. */
int take_check(StepRun *run, const TakenMemory *m);

/* Right before the driver goes: whoever has it stands still, so that nobody pins a page from now on; then it is looked again, and
 * noted who loses what. After an error everybody runs again. */
int take_begin(StepRun *run, const TakenMemory *m);

/* Right after, or by the next worker: everybody runs again, and nobody has a page. r: what became of the driver, returned when it
 * is an error. -EINPROGRESS: it is on its way out, and all stand still until somebody calls this again. Nothing to do where nothing was
 * taken. */
int take_finish(StepRun *run, int r);

/* Was it begun? Does anybody stand still for it? */
bool take_noted(StepRun *run);
bool take_in_notes(json_object *notes);
bool take_unfinished(StepRun *run);

/* On the way back: everybody runs again, and what is not given back is told. */
int take_undo(StepRun *run);
