/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "daemon/manager/manager.h"

/* Cards that may have been pulled, or have died. The daemon sees none of them: a worker looks, says whether it is so, and then does what may be done about those who
 * still use the card (daemon/worker/lost/incident.h). What is not so has nothing touched. While a removal is at work there it is called off first, and the worker is asked again
 * when that has ended. */

/* Somebody says so. cause: a word of IncidentCause. text: what was said (may be NULL). */
void manager_doubt_card(Manager *m, const char *port, const char *cause, const char *text);

/* For a slot whose last removal, as the records say, ended since its card was pulled: whether that is on record was the daemon's before this one to see to. */
void manager_recall_incident(Manager *m, const ManagedSlot *s);

void manager_free_incidents(Manager *m);

extern const RemovalListener incidents_listener;
