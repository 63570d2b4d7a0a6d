/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "manager.h"

/* The attention indicator of a slot without a removal: on when its light has become untrue, off when that is over. A worker
 * writes it and reads it back; the slot shows what it reads. It is tried again, with pauses of 2 s to 64 s, until it reads what is wanted
 * and no process on record could still write something else there,
 * unless something else is wanted since, a removal begins there or the slot goes. Pending ones are dropped by lights_free(). -ENOMEM. */
int light_attention(Manager *m, const ManagedSlot *s, const char *attention);

/* After a look: the light of a fault is set once more where the slot shows another one and nobody is at it. A write that had hung since before
 * may have been the last word. */
int light_assert(Manager *m, const ManagedSlot *s);

/* A removal that begins ends whoever is at one of its lights; after it what was to be turned off is, and a fault's light is on. Its userdata is
 * the manager. */
extern const RemovalListener lights_listener;

void lights_free(Manager *m);
