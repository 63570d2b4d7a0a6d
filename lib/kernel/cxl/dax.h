/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/types.h>

#include "base/util.h"

/* The dax device that begins at a physical address: the name a plan wrote down may belong to another device once regions
 * have come and gone. -ENODEV when none does. */
int dax_find(uint64_t start, char **ret);

/* Is that the number of a dax device's character device? */
bool dax_has_number(dev_t chardev);
