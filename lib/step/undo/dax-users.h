/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/types.h>

#include "step/evict/take-mappings.h"

/* Asked before a dax device loses its driver. No process may use it; with `force` one that has it mapped may lose the mapping. Returns 0, or
 * -EBUSY naming the user. *ret is what has to be taken by force, its size 0 for nothing; its name is `node`, its ranges are `ranges` (NULL: it
 * has one). */
int dax_may_go(StepRun *run, const char *dax, const char *node, bool force, json_object *ranges, TakenMemory *ret);
