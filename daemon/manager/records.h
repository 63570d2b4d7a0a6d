/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "manager.h"

/* Has a worker read what is on record: removals that have not ended are resumed, and the slots are looked at, with the records or without. */
int manager_read_records(Manager *m);
void manager_free_reading(Manager *m);

/* Hears of ends that are not on record: they are written down when that can be. Its userdata is the manager. */
extern const RemovalListener records_listener;

/* Writes to the kernel that a removal has left behind when it got stuck: the daemon waits for the end of the process that is at one, and has the rest
 * done then, which a worker says (`late`). */

/* Looks for them, once the records are known; again by itself whenever one of them has ended. */
void manager_look_for_late(Manager *m);
void manager_free_late(Manager *m);

/* Looks when a removal has ended stuck. Its userdata is the manager. */
extern const RemovalListener late_listener;
