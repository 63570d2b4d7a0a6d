/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "manager.h"

/* What the daemon wants of the guard, port by port. It follows from the steps that hold slots and release them. */

extern const RemovalListener ports_listener; /* its userdata is the manager */

void manager_begin_guard(Manager *m); /* once what is wanted of it is known */
int manager_want(Manager *m, const char *port, PortWant want); /* NULL and "" are nowhere, and fine */
int manager_look_at_slot(Manager *m, const char *port, bool lost); /* for a press that was missed; `lost`: as guard_look() */
void manager_claim_slots(Manager *m, Removal *r, json_object *holds); /* it has them on record (history_holds()), and gives them back itself */
void manager_give_back_press(Manager *m, const char *port, const char *why); /* a press that nothing comes of */
void manager_slot_seen(Manager *m, const ManagedSlot *s); /* by a look: no light of a former card is looked after any more */
void manager_guard_slot(Manager *m, const ManagedSlot *s); /* if its light says "safe to pull" over a card */
