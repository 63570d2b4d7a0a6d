/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "manager.h"

/* The attention indicator of a slot without a removal: on when its light has become untrue, off when that is over. A worker
 * writes it and reads it back; the slot shows what it reads. It is tried again, with pauses of 2 s to 64 s, until it reads what is wanted
 * and no process on record could still write something else there,
 * unless something else is wanted since, a removal begins there or the slot goes. Pending ones are dropped by lights_free(). -ENOMEM. */
int light_attention(Manager *m, ManagedSlot *s, const char *attention);

/* What became of it; `code` NULL: the slot was seen to show it. */
typedef void (*light_done_t)(Manager *m, const char *port, uint64_t usec, const char *code, const char *why_not, void *userdata);

/* The attention indicator shows somebody the way: it blinks for so long, or (0) is as it was before. What else is wanted of it, then or later, wins, and so does a
 * removal. It is not tried again but to end it, which is done where it fails too. `done` (may be NULL) is called once. -EBUSY: somebody else waits for its answer, or something else
 * is wanted of it that was not seen yet. */
int light_locate(Manager *m, ManagedSlot *s, uint64_t usec, light_done_t done, void *userdata);

/* Is anything wanted of it that was not seen yet? */
bool light_is_wanted(const Manager *m, const char *port);

/* Whoever waits is told that nothing comes of it. */
void lights_call_off(Manager *m);

/* After a look: the light of a fault is set once more where the slot shows another one and nobody is at it. A write that had hung since before
 * may have been the last word. And a card that has power does not stand under dark lights, which say that it is safe to pull, nor under a power
 * indicator that blinks for nobody, for longer than the kernel ever has it blink: it is turned on. */
int light_assert(Manager *m, ManagedSlot *s);

/* A write of a removal that is over has come late, and has the power indicator blink over a card that stays: it is turned on. 0 too where something else is wanted of its lights. */
int light_steady(Manager *m, const char *port);

/* The same of the attention indicator, which is to show what it showed before that removal ("on" or "off"). */
int light_as_before(Manager *m, const char *port, const char *attention);

/* A removal that begins ends whoever is at one of its lights; after it what was to be turned off is, and a fault's light is on. Its userdata is
 * the manager. */
extern const RemovalListener lights_listener;

void lights_free(Manager *m);

/* locate.c. Somebody looks for a slot: its attention indicator blinks for a while, and is then as it was. A blinking one says nothing about the card. So it blinks only
 * where the indicator has nothing to say itself, and ends for whatever has. What blinks is on record until it does no more (led/locate.h), for a daemon
 * that comes later. */

enum {
        LOCATE_SEC_MAX = 3600,
};

/* Why the slot's indicator may not blink now, newly allocated, and the code of that; NULL: it may. */
char *manager_locate_objection(Manager *m, const ManagedSlot *s, const char **ret_code);

/* It blinks for so long; 0: no longer. The listener's `located` says what came of it, now or later, with the asker. */
void manager_locate(Manager *m, ManagedSlot *s, uint32_t sec, json_object *by, void *asker);

/* A look has found this of the slot: what another daemon began is ended in time. */
void manager_take_located(ManagedSlot *s, json_object *entry);
