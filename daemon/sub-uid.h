/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdint.h>

/* Whose turn a caller's is. Who may map ranges of user numbers (subuid(5), newuidmap(1)) can call under each of them and under his own
 * number, and would have as many turns and quotas: all of them are one user, by the lowest of: the number that passwd(5) has for the name, or
 * the first of the ranges where it has none; those whose ranges overlap are one. A number in no range is its own, and so is root, whose
 * ranges are one user of their own. The files are read again when they have changed; where they cannot be read there are no ranges. What a
 * caller may do and see is asked of his own number, never of this. */
uint32_t sub_uid_user(uint32_t uid);
