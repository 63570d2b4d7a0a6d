/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "step/step.h"

/* Memory blocks as [[first, last], ...]: a machine has a hundred thousand of them, and few gaps. */

/* Adds the block `id` to an array of runs; those before it are lower. */
void block_runs_add(json_object *runs, uint64_t id);

/* What has become of them, told as lost: a line for each run ("memory5, ONE" and "memory5 to memory9, SEVERAL") with the command that
 * writes `word` to the state of each, and one line for all the runs that would be too many. NULL for the word: what is told says itself
 * what to do. */
void block_runs_tell(StepRun *run, json_object *runs, const char *word, const char *one, const char *several);
