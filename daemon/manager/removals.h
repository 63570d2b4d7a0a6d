/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "manager.h"

/* Which removals start, and which are one and the same. */

/* A removal is asked for; the manager gives it its number. Whoever asks is answered when it is known what comes of it, unless this fails. */
int manager_remove(Manager *m, RemovalRequest request);
void manager_drop_enquiry(Removal *r);
int manager_cancel(Removal *r, json_object *by); /* -EALREADY: it has ended; -ESTALE: past the point of no return */
int manager_resume(Manager *m, json_object *entry); /* of a history, with its "holds": its worker died with the daemon before this one */

/* For the removals' owner: the enquiry's answer decides. Both may free it. */
void manager_removal_found(Removal *r, void *userdata);
void manager_removal_died(Removal *r, void *userdata);
void manager_removal_unstartable(Removal *r, const char *code, const char *message, void *userdata);

/* After a scan: cards that have come back, where the policy wants them restored unasked. */
void manager_consider_restoring(Manager *m);
