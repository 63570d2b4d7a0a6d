/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/util.h"

/* Groups of the unified hierarchy, by their path as in /proc/PID/cgroup: "/system.slice/x.service". The freezer is in its core,
 * so it is there whatever controllers are (Documentation/admin-guide/cgroup-v2.rst, cgroup.freeze). -ENOENT from any of these:
 * there is no such group, or no unified hierarchy; -EINVAL: a path with "..", from inside a namespace. */

/* Freezes or thaws the group with all below it; returns at once, whoever is in the kernel gets there later. */
int cgroup_freeze(const char *cgroup, bool freeze);

/* What was asked of this very group: 1 or 0. */
int cgroup_asked_to_freeze(const char *cgroup);

/* Whether everybody in it is frozen now, by this group or by one above: 1 or 0. */
int cgroup_is_frozen(const char *cgroup);

/* What the group is known by as long as it is there: another one of the same path has another number. */
int cgroup_id(const char *cgroup, uint64_t *ret);

/* Waits until cgroup_is_frozen() says so. 0, or -ETIME. */
int cgroup_wait_frozen(const char *cgroup, bool frozen, uint64_t timeout_usec);

/* The processes in it and in the groups below; newly allocated. Forking goes on unless it is frozen. */
int cgroup_pids(const char *cgroup, int **ret, size_t *ret_n);
