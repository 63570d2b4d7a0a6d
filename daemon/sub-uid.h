/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdint.h>

/* Whose turn a caller's is. Who may map a range of user numbers (subuid(5), newuidmap(1)) can call under each of them, and would have as many
 * turns and quotas: a range counts as one user, by its first number. A number in no range is its own. The file is read again when it
 * has changed; where it cannot be read there are no ranges. What a caller may do and see is asked of his own number, never of this. */
uint32_t sub_uid_user(uint32_t uid);
