/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "objects.h"

/* A machine that is shut down, or put to sleep, while a card is being removed. As long as a removal or restoration has a slot, logind is asked for three inhibitors: a
 * delay of shutdown, one of sleep (5 s as logind is set up: InhibitDelayMaxSec=), in which what has begun is put back or comes to its end, and a block of sleep, which
 * would leave a card half removed under a slot that nobody serves. The block is there as long as a slot is held at all: a removal may have ended and could not give it
 * back. The rest a stop of the service puts back (give-back), or the next boot finds on record.
 * Where there is no logind, or it refuses, removals go on as without it. */

/* Listens to the manager's removals from now on, and tells it what logind prepares for. The manager outlives it, and is to tell it nothing after logind_free(). */
int logind_new(Manager *m, Logind **ret);
void logind_free(Logind *l); /* NULL is fine; gives the inhibitors back */

/* What is held has changed. */
void logind_update(Logind *l);

/* A new connection to the system bus. A negative errno of sd-bus. */
int logind_serve(Logind *l, sd_bus *bus);

/* The connection is gone, and what was asked on it. Inhibitors are descriptors, and stay. */
void logind_forget(Logind *l);
