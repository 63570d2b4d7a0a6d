/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/util.h"

/* Software RAID. Arrays are found by their uuid, however it is written (mdadm's four groups, the kernel's five): an array that
 * was assembled by udev may have got another name. */

/* True for the same 32 hexadecimal digits, in either case and with whatever between them. */
bool md_same_uuid(const char *a, const char *b);

/* "md127" now; by name where the uuid is NULL or empty. -ENODEV: not running. */
int md_find(const char *uuid, const char *name, char **ret);

/* Is the block device of that name a member, and is it in use there (not faulty)? */
bool md_has_member(const char *md, const char *member);
bool md_member_works(const char *md, const char *member);

/* 0 when the array goes on without one more member; -EBUSY with *ret_why. */
int md_can_lose_one(const char *md, char **ret_why);
