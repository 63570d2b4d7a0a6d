/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/types.h>

#include "step/step.h"

/* Before and after a dax device loses its driver. Without `force` nobody may use it. With it the kernel takes the pages out of
 * whatever is mapped, and the processes get SIGBUS when they touch them: only on kernels that are known to stand it, only without
 * pinned pages, for which nothing waits, and only when it is then seen that it was done. */

/* *ret_dev is the character device for dax_zapped(), 0 where it has none. -EBUSY naming who is in the way. */
int dax_may_go(StepRun *run, const char *dax, bool force, dev_t *ret_dev);

/* 0 when no process has a page of it any more. */
int dax_zapped(StepRun *run, const char *dax, dev_t dev);
