/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "daemon/manager/manager.h"

/* The machine is about to be shut down or suspended ("shutdown", "suspend"; a static string), or (NULL) is not: what runs is put back where it can be, and goes on to its end where it
 * cannot; nothing else begins, and a press is given back. What has come meanwhile is taken up when that is over: cards that are back, writes to the kernel that a
 * removal had left behind, and removals whose worker has died at last. */
void manager_go_down(Manager *m, const char *why);
