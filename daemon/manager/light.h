/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "manager.h"

/* The attention indicator of a slot that no removal is at: on when its light has become untrue, off when that is over. A worker
 * process writes it and reads it back; the slot shows what it reads. Until it reads what is wanted, and nobody on
 * record is at the slot any more who could write something else, it is tried again, with pauses of 2 s to 64 s,
 * unless something else is wanted since, a removal begins there or the slot goes. Pending ones are dropped by lights_free(). -ENOMEM. */
int light_attention(Manager *m, const ManagedSlot *s, const char *attention);

/* Behind a look: the light of a fault is set once more where the slot shows another one and nobody is at it. A write that had hung since before
 * may have been the last word. */
int light_assert(Manager *m, const ManagedSlot *s);

/* A removal begins at the slot, and the lights are its own: whoever is at one is ended. */
void light_drop(Manager *m, ManagedSlot *s);

/* It has ended. as_before: with the lights that it had found, so that what was to be turned off then is turned off now. */
void light_resume(Manager *m, ManagedSlot *s, bool as_before);

void lights_free(Manager *m);
