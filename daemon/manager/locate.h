/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "manager.h"

/* Somebody looks for a slot: its attention indicator blinks for a while, and is then as it was. A blinking one says nothing about the card. So it blinks only
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
