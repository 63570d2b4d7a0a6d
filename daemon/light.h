/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "manager.h"

/* The attention indicator of a slot that no removal is at: on when its light has become untrue, off when that is over. A worker
 * process writes it and reads it back; the slot shows what it reads. Pending ones are dropped by lights_free(). */
int light_attention(Manager *m, const ManagedSlot *s, const char *attention);

void lights_free(Manager *m);
