/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "manager.h"

/* Decides what is done about each event of a source. */

/* It listens to its removals and hears nothing yet; whoever else is to hear of all listens before it is started. */
int manager_new(sd_event *event, Manager **ret);
void manager_free(Manager *m);
DEFINE_CLEANUP_FUNC(Manager, manager_free)

/* Sources on, the records being read: after that unfinished removals are resumed, the slots are looked at, and systemd is told. */
int manager_start(Manager *m);
