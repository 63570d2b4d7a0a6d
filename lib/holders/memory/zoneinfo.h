/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/util.h"

/* Pages that are free but wait on a CPU's own list, in all zones that reach into the frames [first, first+n): the sum of
 * "count:" in the text of /proc/zoneinfo. -EBADMSG on rubbish. */
int zoneinfo_cpu_pages(const char *text, uint64_t first, uint64_t n, uint64_t *ret);
