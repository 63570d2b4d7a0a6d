/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/types.h>

#include "step/evict/take-mappings.h"

/* Before a dax device loses its driver. Nobody may use it; with `force` whoever has it mapped may lose it. 0, or -EBUSY naming who is in
 * the way. *ret is what has to be taken by force, its size 0 for nothing; its name is `node`, its ranges are `ranges` (NULL: it has one). */
int dax_may_go(StepRun *run, const char *dax, const char *node, bool force, json_object *ranges, TakenMemory *ret);
