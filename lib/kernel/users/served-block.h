/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/util.h"

/* The block device whose content a process serves, by its name ("nbd0", "ublkb0"), newly allocated: NULL for none. What is written to that
 * device goes through the process, and is lost to everybody with its end. 0 or -ENOMEM. */
int served_block_of(int pid, char **ret);
