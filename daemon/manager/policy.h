/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "manager.h"

/* A reload: the files with settings and rules are looked through, what is wrong with them goes to the journal with its line, and systemd is told
 * when that is done. The daemon itself keeps nothing of them: each worker reads them anew, and a removal that runs goes on with what it began with. */
void manager_reload(Manager *m);

/* To the journal, what a worker has found (its line). False: it could not look through them. */
bool manager_policy_checked(json_object *line);
void manager_free_reload(Manager *m);
