/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "manager.h"

/* The attention indicator of a slot that no removal is at: on when its light has become untrue, off when that is over. A worker
 * process writes it and reads it back; the slot shows what it reads. Until it reads what is wanted it is tried again, with pauses of 2 s to 64 s,
 * unless something else is wanted since, a removal begins there or the slot goes. Pending ones are dropped by lights_free(). -ENOMEM. */
int light_attention(Manager *m, const ManagedSlot *s, const char *attention);

/* The same where the slot was seen to show another one and nobody is at it: a write that had hung since before may have been the last word. */
int light_assert(Manager *m, const ManagedSlot *s, const char *attention);

void lights_free(Manager *m);
