/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/util.h"

/* The memory of this process, and of all that it starts: of nodes with a processor alone. Memory of a card is never on one of these but where the firmware
 * says so, and a node that comes later is none of them. What it has already is moved there. 0, also where the kernel knows no nodes or none of them has both;
 * a negative errno: it may be anywhere, as before. */
int own_memory_bind(void);

/* The opposite, for who has the kernel find room for the memory of others. */
int own_memory_unbind(void);

/* It stays in memory once it was touched: swap may be on a card that does not answer. What is forked has this to say for itself. Without the right to
 * lock all of it nothing is done: -EPERM. */
int own_memory_lock(void);
